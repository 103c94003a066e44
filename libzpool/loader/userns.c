/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/userns.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>

/* The kernel's default, which an administrator can change. */
enum { DEFAULT_OVERFLOW_UID = 65534 };

/* All numbers except (uid_t)-1, which is not a valid user. */
#define ALL_UIDS UINT64_C(4294967295)

/*
 * The map of a nested namespace uses the numbers of its parent namespace, but it can map only what the parent has
 * mapped. A map of all numbers therefore hides nobody, at any depth.
 */
static void read_map(struct zp_userns *userns, FILE *map)
{
	unsigned long long inside, outside, count;
	uint64_t mapped = 0;

	while (fscanf(map, "%llu %llu %llu", &inside, &outside, &count) == 3)
		mapped += count;
	userns->known = !ferror(map);
	userns->complete = userns->known && mapped >= ALL_UIDS;
}

/* A shortage is kept apart from a file that is missing, because the same call may succeed later. */
static FILE *open_file(struct zp_userns *userns, const char *path)
{
	FILE *file = fopen(path, "re");

	if (!file && (errno == EMFILE || errno == ENFILE || errno == ENOMEM))
		userns->err = -errno;
	return file;
}

void zp_userns_read_files(struct zp_userns *userns, const char *map_path, const char *overflow_path)
{
	unsigned int overflow;

	*userns = (struct zp_userns){ .overflow_uid = DEFAULT_OVERFLOW_UID };
	FILE *map = open_file(userns, map_path);
	if (map) {
		read_map(userns, map);
		fclose(map);
	}
	if (userns->complete)
		return;
	FILE *file = open_file(userns, overflow_path);
	if (!file)
		return;
	if (fscanf(file, "%u", &overflow) == 1)
		userns->overflow_uid = overflow;
	fclose(file);
}

void zp_userns_read(struct zp_userns *userns)
{
	zp_userns_read_files(userns, "/proc/self/uid_map", "/proc/sys/kernel/overflowuid");
}

bool zp_userns_hides(const struct zp_userns *userns, uid_t uid)
{
	return !userns->complete && uid == userns->overflow_uid;
}
