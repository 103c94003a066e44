/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "loader/trust.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"

/* As many as Linux follows itself. */
enum { MAX_LINKS = 40 };

/* A walk in progress: what is behind it, without links, and what is still to go. */
struct walk {
	const struct zp_trust *trust;
	char *resolved; /* PATH_MAX bytes */
	size_t resolved_length;
	const char *next; /* in the path given, or in pending */
	char *pending;    /* from the first link on: its target and what came behind it */
	unsigned links;
	mode_t mode; /* of what resolved names */
	char *why;
	size_t why_bytes;
};

/* Does no line of /proc/self/uid_map map the outer root?  Then its files show as the overflow uid. */
static bool outer_root_is_unmapped(void)
{
	FILE *map = fopen("/proc/self/uid_map", "re");
	if (!map)
		return false;
	unsigned long inside, outside, count;
	bool lines = false, mapped = false;
	while (fscanf(map, "%lu %lu %lu", &inside, &outside, &count) == 3) {
		lines = true;
		if (outside == 0 && count > 0)
			mapped = true;
	}
	fclose(map);
	return lines && !mapped;
}

static bool is_overflow_uid(uid_t uid)
{
	unsigned overflow = 65534;
	FILE *file = fopen("/proc/sys/kernel/overflowuid", "re");
	if (file && fscanf(file, "%u", &overflow) != 1)
		overflow = 65534;
	if (file)
		fclose(file);
	return uid == overflow;
}

bool zp_trust_uid_stands_for_root(uid_t uid)
{
	return is_overflow_uid(uid) && outer_root_is_unmapped();
}

void zp_trust_self(struct zp_trust *trust)
{
	*trust = (struct zp_trust){ .euid = geteuid(),
				    .secure = zp_is_secure(),
				    .stands_for_root = zp_trust_uid_stands_for_root };
}

static bool owner_is_trusted(const struct zp_trust *trust, uid_t uid)
{
	return uid == 0 || (!trust->secure && uid == trust->euid) || trust->stands_for_root(uid);
}

static int judge(struct walk *walk, const char *path, const struct stat *st, bool holds_plugin)
{
	const struct zp_trust *trust = walk->trust;
	const char *noun = S_ISDIR(st->st_mode) ? "directory" : "file";

	if (!owner_is_trusted(trust, st->st_uid)) {
		snprintf(walk->why, walk->why_bytes, "%s %s belongs to user %lu, who is neither root%s", noun, path,
			 (unsigned long)st->st_uid, trust->secure ? " (required in a privileged program)" : " nor you");
		return -EPERM;
	}
	if (S_ISLNK(st->st_mode))
		return 0;
	bool sticky_parent = S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) && !holds_plugin;
	if ((st->st_mode & S_IWOTH) && !sticky_parent) {
		snprintf(walk->why, walk->why_bytes, "%s %s is world-writable; chmod o-w it", noun, path);
		return -EPERM;
	}
	if ((st->st_mode & S_IWGRP) && !sticky_parent && (trust->euid == 0 || trust->secure)) {
		snprintf(walk->why, walk->why_bytes,
			 "%s %s is group-writable, which is refused for privileged users; chmod g-w it", noun, path);
		return -EPERM;
	}
	return 0;
}

static int walk_error(struct walk *walk, const char *path, int err)
{
	snprintf(walk->why, walk->why_bytes, "%s: %s", path, strerror(err));
	return -err;
}

/* Puts the target of the link that resolved ends with in front of what is still to go. */
static int follow_link(struct walk *walk, size_t parent_length)
{
	size_t next_bytes = strlen(walk->next) + 1;
	if (++walk->links > MAX_LINKS)
		return walk_error(walk, walk->resolved, ELOOP);
	/* On the heap, because a host's threads may have small stacks. */
	char *joined = malloc(PATH_MAX + next_bytes);
	if (!joined)
		return walk_error(walk, walk->resolved, ENOMEM);
	ssize_t length = readlink(walk->resolved, joined, PATH_MAX);
	int err = length < 0 ? errno : 0;
	if (!err && (size_t)length + next_bytes >= PATH_MAX)
		err = ENAMETOOLONG;
	if (err) {
		free(joined);
		return walk_error(walk, walk->resolved, err);
	}
	joined[length] = '/';
	memcpy(joined + length + 1, walk->next, next_bytes);
	free(walk->pending);
	walk->pending = joined;
	walk->next = joined;
	walk->resolved_length = joined[0] == '/' ? 0 : parent_length;
	walk->resolved[walk->resolved_length] = '\0';
	return 0;
}

static void go_up(struct walk *walk)
{
	const char *slash = strrchr(walk->resolved, '/');
	walk->resolved_length = slash ? (size_t)(slash - walk->resolved) : 0;
	walk->resolved[walk->resolved_length] = '\0';
	walk->mode = S_IFDIR;
}

static bool is_last(const struct walk *walk)
{
	return walk->next[strspn(walk->next, "/")] == '\0';
}

/*
 * The directory that a plugin's file, or a link to it, lies in must not let others add entries, sticky or not.  Told by
 * what is in it and not by how the path is spelled, which may go on with "/." or come back with "..".
 */
static int judge_holder(struct walk *walk, size_t length)
{
	struct stat st;
	walk->resolved[length] = '\0';
	const char *path = length ? walk->resolved : "/";
	int err = lstat(path, &st) < 0 ? walk_error(walk, path, errno) : judge(walk, path, &st, true);
	walk->resolved[length] = '/';
	return err;
}

/* Moves one component on; 1 when there is none. */
static int step(struct walk *walk)
{
	struct stat st;
	const char *component = walk->next + strspn(walk->next, "/");
	size_t length = strcspn(component, "/"), parent_length = walk->resolved_length;

	if (length == 0)
		return 1;
	walk->next = component + length;
	if (length == 1 && component[0] == '.')
		return 0;
	if (length == 2 && component[0] == '.' && component[1] == '.') {
		go_up(walk);
		return 0;
	}
	if (parent_length + 1 + length >= PATH_MAX)
		return walk_error(walk, walk->resolved, ENAMETOOLONG);
	walk->resolved[parent_length] = '/';
	memcpy(walk->resolved + parent_length + 1, component, length);
	walk->resolved_length += length + 1;
	walk->resolved[walk->resolved_length] = '\0';

	if (lstat(walk->resolved, &st) < 0)
		return walk_error(walk, walk->resolved, errno);
	walk->mode = st.st_mode;
	int err = !S_ISDIR(st.st_mode) && is_last(walk) ? judge_holder(walk, parent_length) : 0;
	if (!err)
		err = judge(walk, walk->resolved, &st, false);
	if (err)
		return err;
	return S_ISLNK(st.st_mode) ? follow_link(walk, parent_length) : 0;
}

static int walk_all(struct walk *walk)
{
	struct stat st;
	if (stat("/", &st) < 0)
		return walk_error(walk, "/", errno);
	int err = judge(walk, "/", &st, false);
	while (err == 0)
		err = step(walk);
	if (err < 0)
		return err;
	if (S_ISREG(walk->mode))
		return 0;
	snprintf(walk->why, walk->why_bytes, "%s is not a regular file", walk->resolved[0] ? walk->resolved : "/");
	return -ENOEXEC;
}

int zp_trust_resolve(const struct zp_trust *trust, const char *path, char *resolved, char *why, size_t why_bytes)
{
	struct walk walk = { .trust = trust, .resolved = resolved, .next = path, .why = why, .why_bytes = why_bytes };

	resolved[0] = '\0';
	if (path[0] != '/')
		return walk_error(&walk, path, EINVAL);
	if (strnlen(path, PATH_MAX) == PATH_MAX)
		return walk_error(&walk, "the path", ENAMETOOLONG);
	int err = walk_all(&walk);
	free(walk.pending);
	return err;
}
