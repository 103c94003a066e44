/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "plugins/shipped.h"
#include "shipped.h"

#define NAME(type) type,

static const char *const shipped[] = { SHIPPED_DRIVERS(NAME) SHIPPED_FILTERS(NAME) };

bool is_shipped(const char *type)
{
	for (size_t i = 0; i < sizeof(shipped) / sizeof(shipped[0]); i++)
		if (!strcmp(type, shipped[i]))
			return true;
	return false;
}
