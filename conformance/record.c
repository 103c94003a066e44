/* SPDX-License-Identifier: MIT
 *
 * record.c - the structure with which a driver under test registers
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "record.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

struct search {
	const char *type;
	char path[PATH_MAX];
};

static int note_path(const struct zpool_driver_info *info, void *user)
{
	struct search *search = user;

	if (strcmp(info->type, search->type) != 0)
		return 0;
	snprintf(search->path, sizeof(search->path), "%s", info->path ? info->path : "");
	return 1;
}

const struct zpool_driver *ct_record_of(const char *type)
{
	struct search search = { type, "" };
	void *module;

	zpool_each_driver(note_path, &search);
	module = search.path[0] ? dlopen(search.path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD) : NULL;
	return module ? dlsym(module, "zpool_driver") : NULL;
}

bool ct_keeps_limit_itself(void)
{
	for (const char *part = ct.spec; part; part = strchr(part, '+') ? strchr(part, '+') + 1 : NULL) {
		const struct zpool_driver *record;
		char type[64];

		snprintf(type, sizeof(type), "%.*s", (int)strcspn(part, ":+"), part);
		record = ct_record_of(type);
		if (record && !record->set_limit)
			return false;
	}
	return true;
}
