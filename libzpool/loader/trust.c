/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/trust.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/env.h"
#include "loader/acl.h"
#include "loader/userns.h"

/* The number of links that Linux follows, too. */
enum { MAX_LINKS = 40 };

/* A walk in progress: the part that was resolved, without links, and the part that remains. */
struct walk {
	const struct zp_trust *trust;
	char *resolved; /* PATH_MAX bytes */
	size_t resolved_length;
	const char *next; /* in the given path or in `pending` */
	char *pending;    /* from the first link on: its target followed by the rest of the path */
	unsigned int links;
	mode_t mode;             /* length of `resolved` */
	bool hidden_is_accepted; /* components with hidden owners may be trusted on this path */
	bool hidden_seen;        /* the walk has passed a component with a hidden owner */
	bool shared_seen;        /* a component that others may write was passed: a sticky directory, or one that its
	                          * group may write */
	char *why;
	size_t why_bytes;
};

void zp_trust_self(struct zp_trust *trust)
{
	struct zp_userns userns;

	zp_userns_read(&userns);
	*trust = (struct zp_trust){ .euid = geteuid(),
				    .secure = zp_is_secure(),
				    .hides_owners = !userns.complete,
				    .hidden_uid = userns.overflow_uid,
				    .userns_err = userns.err };
	if (userns.known && !userns.complete && !trust->secure)
		trust->hidden_owner_dir = ZPOOL_PLUGINDIR;
}

/*
 * "" stands for every directory; otherwise the path itself, before any link is followed, must lead into this directory.
 */
static bool hidden_is_accepted_at(const struct zp_trust *trust, const char *path)
{
	const char *dir = trust->hidden_owner_dir;
	if (!trust->hides_owners || !dir)
		return false;
	if (!*dir)
		return true;
	size_t length = strlen(dir);
	while (length > 1 && dir[length - 1] == '/')
		length--;
	return strncmp(path, dir, length) == 0 && path[length] == '/' && !strchr(path + length + 1, '/');
}

struct zp_trust zp_trust_of_named(const struct zp_trust *trust, const char *path)
{
	struct zp_trust named = *trust;
	named.hidden_owner_dir = hidden_is_accepted_at(trust, path) ? "" : NULL;
	return named;
}

static bool is_hidden(const struct zp_trust *trust, uid_t uid)
{
	return trust->hides_owners && uid == trust->hidden_uid;
}

__attribute__((format(printf, 2, 3))) static int refuse(struct walk *walk, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	(void)vsnprintf(walk->why, walk->why_bytes, format, args);
	va_end(args);
	return -EPERM;
}

/*
 * A hidden owner may be root or another user. It counts as root only where an administrator chose the place: in the
 * compiled-in plugin directory, if all components from the first hidden one on have hidden owners, and if nothing on
 * the path could have been put there by a user of the namespace. A path that returns to visible owners was not set up
 * by the system's root.
 */
static int judge_hidden_owner(struct walk *walk, const char *path, const struct stat *st, const char *noun)
{
	if (!walk->hidden_is_accepted)
		return refuse(
			walk,
			"%s %s belongs to a user who has no mapping in this user namespace and could be anyone; such owners are accepted only in the compiled-in plugin directory",
			noun, path);
	walk->hidden_seen = true;
	if (walk->shared_seen || (!S_ISLNK(st->st_mode) && (st->st_mode & (S_IWGRP | S_IWOTH))))
		return refuse(
			walk,
			"%s %s belongs to a user who has no mapping in this user namespace, and others may write %s",
			noun, path, walk->shared_seen ? "a directory above it" : "it");
	if (!S_ISLNK(st->st_mode) && faccessat(AT_FDCWD, path, W_OK, AT_EACCESS) == 0)
		return refuse(
			walk,
			"%s %s belongs to a user who has no mapping in this user namespace, but this process can write it, so the owner cannot be root",
			noun, path);
	return 0;
}

static int walk_error(struct walk *walk, const char *path, int err)
{
	snprintf(walk->why, walk->why_bytes, "%s: %s", path, strerror(err));
	return -err;
}

/*
 * Returns 1 if a file with a hidden owner belongs to this process, whose own user is hidden too, and 0 if not. Only a
 * file's owner may open it with O_NOATIME, and the kernel compares the real numbers. Returns -errno after a shortage,
 * which says nothing about the owner.
 */
static int belongs_to_process(struct walk *walk, const char *path, const struct stat *st)
{
	const struct zp_trust *trust = walk->trust;

	if (trust->secure || !is_hidden(trust, trust->euid) || !(S_ISDIR(st->st_mode) || S_ISREG(st->st_mode)))
		return 0;
	int fd = open(path, O_RDONLY | O_NOATIME | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE || errno == ENOMEM ? walk_error(walk, path, errno) : 0;
	close(fd);
	return 1;
}

/*
 * Judges a file whose owner's number stands for every hidden user. Returns 1 if the owner is this process's user, 0 if
 * the owner counts as root, or -errno.
 */
static int judge_hidden_number(struct walk *walk, const char *path, const struct stat *st, const char *noun)
{
	if (walk->trust->userns_err)
		return walk_error(walk, "/proc/self/uid_map", -walk->trust->userns_err);
	int own = belongs_to_process(walk, path, st);
	return own ? own : judge_hidden_owner(walk, path, st, noun);
}

static int judge_owner(struct walk *walk, const char *path, const struct stat *st, const char *noun)
{
	const struct zp_trust *trust = walk->trust;
	bool hidden = is_hidden(trust, st->st_uid);

	if (hidden) {
		int own = judge_hidden_number(walk, path, st, noun);
		if (own <= 0)
			return own;
	}
	if (walk->hidden_seen)
		return refuse(
			walk,
			"%s %s lies below a directory of a user who has no mapping in this user namespace and could be anyone",
			noun, path);
	if (hidden || st->st_uid == 0 || (!trust->secure && st->st_uid == trust->euid))
		return 0;
	return refuse(walk, "%s %s belongs to user %lu, who is neither root%s", noun, path, (unsigned long)st->st_uid,
		      trust->secure ? " (required in a privileged program)" : " nor you");
}

/* The group bits of the mode show that others may write: the group, or users in an access control list. */
static int judge_group_write(struct walk *walk, const char *path, const char *noun)
{
	const struct zp_trust *trust = walk->trust;
	struct zp_acl_writer writer;
	bool euid_is_hidden = is_hidden(trust, trust->euid);

	if (euid_is_hidden && trust->userns_err)
		return walk_error(walk, "/proc/self/uid_map", -trust->userns_err);
	int result = zp_acl_find_writer(path, trust->secure || euid_is_hidden ? 0 : trust->euid, &writer);
	if (result == -ENOMEM)
		return walk_error(walk, path, ENOMEM);
	if (result < 0)
		return refuse(walk, "%s %s: its access control list cannot be read: %s", noun, path, strerror(-result));
	if (result > 0)
		return refuse(
			walk,
			"%s %s may be written by %s %lu through its access control list; remove that entry with setfacl -x %c:%lu",
			noun, path, writer.is_group ? "group" : "user", (unsigned long)writer.id,
			writer.is_group ? 'g' : 'u', (unsigned long)writer.id);
	/* A hidden user may be root. */
	if (trust->euid == 0 || trust->secure || euid_is_hidden)
		return refuse(walk, "%s %s is group-writable, which is refused for privileged users; chmod g-w it",
			      noun, path);
	walk->shared_seen = true;
	return 0;
}

static bool is_last(const struct walk *walk)
{
	return walk->next[strspn(walk->next, "/")] == '\0';
}

static int judge(struct walk *walk, const char *path, const struct stat *st, bool holds_plugin)
{
	const char *noun = S_ISDIR(st->st_mode) ? "directory" : "file";

	/*
	 * A device, FIFO or socket is never accepted, and the caller says so. Its permissions must not be changed. In
	 * the place of a directory, its owner could replace it by one.
	 */
	if (!S_ISDIR(st->st_mode) && !S_ISREG(st->st_mode) && !S_ISLNK(st->st_mode))
		return is_last(walk) ? 0 : judge_owner(walk, path, st, noun);
	int err = judge_owner(walk, path, st, noun);
	if (err || S_ISLNK(st->st_mode) || !(st->st_mode & (S_IWGRP | S_IWOTH)))
		return err;
	if (S_ISDIR(st->st_mode) && (st->st_mode & S_ISVTX) && !holds_plugin) {
		walk->shared_seen = true;
		return 0;
	}
	if (st->st_mode & S_IWOTH)
		return refuse(walk, "%s %s is world-writable; chmod o-w it", noun, path);
	return judge_group_write(walk, path, noun);
}

/* Puts the target of the link at the end of `resolved` in front of the remaining path. */
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

/*
 * The directory that contains a plugin's file, or a link to it, must not let others add entries, even if it is sticky.
 * That directory is found by following the path, not by its spelling, which may end in "/." or contain "..".
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

/* Advances by one component. Returns 1 at the end. */
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
	if (walk->trust->components)
		++*walk->trust->components;
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
	walk->mode = st.st_mode;
	int err = judge(walk, "/", &st, false);
	while (err == 0)
		err = step(walk);
	return err < 0 ? err : 0;
}

/*
 * Used after a walk that ended at a missing component: `resolved` is its path, and its parent is a directory. If others
 * may add entries there, even to a sticky directory, the component may exist when the linker looks for it. Returns 0 if
 * nobody else can create it; `why` is then unchanged.
 */
static int judge_parent_of_missing(struct walk *walk)
{
	const char *slash = strrchr(walk->resolved, '/');
	return judge_holder(walk, slash ? (size_t)(slash - walk->resolved) : 0);
}

static int walk_path(struct walk *walk, const char *path)
{
	walk->resolved[0] = '\0';
	walk->next = path;
	if (path[0] != '/')
		return walk_error(walk, path, EINVAL);
	if (strnlen(path, PATH_MAX) == PATH_MAX)
		return walk_error(walk, "the path", ENAMETOOLONG);
	walk->hidden_is_accepted = hidden_is_accepted_at(walk->trust, path);
	int err = walk_all(walk);
	int parent_err = err == -ENOENT ? judge_parent_of_missing(walk) : 0;
	free(walk->pending);
	return parent_err ? parent_err : err;
}

int zp_trust_resolve(const struct zp_trust *trust, const char *path, char *resolved, char *why, size_t why_bytes)
{
	struct walk walk = { .trust = trust, .resolved = resolved, .why = why, .why_bytes = why_bytes };

	int err = walk_path(&walk, path);
	if (err || S_ISREG(walk.mode))
		return err;
	snprintf(why, why_bytes, "%s is not a regular file", resolved[0] ? resolved : "/");
	return -ENOEXEC;
}

int zp_trust_resolve_directory(const struct zp_trust *trust, const char *path, char *resolved, char *why,
			       size_t why_bytes)
{
	struct walk walk = { .trust = trust, .resolved = resolved, .why = why, .why_bytes = why_bytes };
	struct stat st;

	int err = walk_path(&walk, path);
	if (err)
		return err;
	const char *shown = resolved[0] ? resolved : "/";
	if (!S_ISDIR(walk.mode)) {
		snprintf(why, why_bytes, "%s is not a directory", shown);
		return -ENOTDIR;
	}
	return lstat(shown, &st) < 0 ? walk_error(&walk, shown, errno) : judge(&walk, shown, &st, true);
}
