/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <string.h>

#include "shipped.h"

/* The plugins that the Makefile builds: "plugins/zsmalloc.la plugins/zbud.la ...". */
static const char plugins[] = ZPOOLCTL_PLUGINS;

bool is_shipped(const char *type)
{
	static const char prefix[] = "plugins/", suffix[] = ".la";
	const size_t length = strlen(type);

	for (const char *at = plugins; (at = strstr(at, prefix));) {
		at += sizeof(prefix) - 1;
		if (!strncmp(at, type, length) && !strncmp(at + length, suffix, sizeof(suffix) - 1))
			return true;
	}
	return false;
}
