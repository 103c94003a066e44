/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/name.h"

bool zp_type_parse(const char *name, size_t length, char type[ZP_TYPE_BYTES])
{
	if (length == 0 || length > ZP_TYPE_MAX || name[0] < 'a' || name[0] > 'z')
		return false;
	for (size_t i = 0; i < length; i++) {
		char c = name[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-'))
			return false;
	}
	for (size_t i = 0; i < length; i++)
		type[i] = name[i] == '-' ? '_' : name[i];
	type[length] = '\0';
	return true;
}
