/* SPDX-License-Identifier: MIT
 *
 * The files form a tree with the plugin at its root, which is walked breadth first. Every directory of a run path is
 * checked, whether or not a library is found there, because a user who can write to it can put one there. A library is
 * checked in each directory that has it, and not only in the first one, because the linker skips files that it cannot
 * use.
 */
#include <config.h>

#include "loader/needs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/dynamic.h"

/* Far above what real plugins need, and low enough that checking a plugin takes no noticeable time. */
enum { MAX_FILES = 128, MAX_DIRECTORIES = 512, MAX_LOOKUPS = 16384, MAX_READ_BYTES = 16 << 20 };

/* Counted for all paths together, because symbolic links may lead through thousands of directories each time. */
enum { MAX_COMPONENTS = 256 << 10 };

/*
 * glibc searches subdirectories for the processor's features: glibc-hwcaps/NAME, and before 2.37 up to four levels of
 * others.
 */
enum { MAX_FEATURE_DEPTH = 4 };
static const char *const feature_directories[] = { "glibc-hwcaps", "tls", "haswell", "xeon_phi", "avx512_1", "x86_64" };

/* The plugin, or a library that it needs. */
struct file {
	const struct file *needed_by; /* NULL for the plugin itself */
	char *path;                   /* the path by which the linker opens it, from which it derives $ORIGIN */
	dev_t device;
	ino_t inode;
	struct zp_dynamic dynamic;
	bool has_run_path; /* has DT_RUNPATH, which makes the linker ignore DT_RPATH */
	size_t first_directory, directory_count;
};

struct needs {
	struct zp_trust trust;
	size_t file_count;
	struct file files[MAX_FILES];
	size_t directory_count;
	char *directories[MAX_DIRECTORIES];
	unsigned int lookups;
	unsigned int components;
	uint64_t bytes_read;
	/* Scratch buffers, because paths are too large for the stack of a small thread. */
	char expanded[PATH_MAX];
	char path[PATH_MAX];
	char resolved[PATH_MAX];
	char reason[PATH_MAX + 160];
	char *why;
	size_t why_bytes;
};

/*
 * Returns -EPERM and describes the fault of this file: "it <format>", or "the library <path>, which it needs,
 * <format>".
 */
__attribute__((format(printf, 3, 4))) static int refuse(struct needs *needs, const struct file *file,
							const char *format, ...)
{
	va_list args;
	int length = 0;

	if (file->needed_by)
		length = snprintf(needs->why, needs->why_bytes, "the library %s, which it needs, ", file->path);
	else
		length = snprintf(needs->why, needs->why_bytes, "it ");
	if (length < 0 || (size_t)length >= needs->why_bytes)
		return -EPERM;
	va_start(args, format);
	(void)vsnprintf(needs->why + length, needs->why_bytes - (size_t)length, format, args);
	va_end(args);
	return -EPERM;
}

static int fail(struct needs *needs, int err)
{
	snprintf(needs->why, needs->why_bytes, "its libraries cannot be checked: %s",
		 err == E2BIG ? "there are too many, or their names are too long" : strerror(err));
	return err == E2BIG ? -EPERM : -err;
}

/* The linker will not find the file either, and no other user can change that. */
static bool is_absent(int err)
{
	return err == -ENOENT || err == -ENOTDIR || err == -EACCES;
}

/* Returns the length of $ORIGIN or ${ORIGIN} at the beginning of text, or 0 if text begins with something else. */
static size_t origin_length(const char *text, size_t length)
{
	static const char plain[] = "$ORIGIN", braced[] = "${ORIGIN}";
	size_t plain_length = sizeof(plain) - 1, braced_length = sizeof(braced) - 1;

	if (length >= braced_length && memcmp(text, braced, braced_length) == 0)
		return braced_length;
	if (length < plain_length || memcmp(text, plain, plain_length) != 0)
		return 0;
	return length == plain_length || text[plain_length] == '/' ? plain_length : 0;
}

/* Writes text to needs->expanded, with $ORIGIN replaced by the file's directory. */
static int expand(struct needs *needs, const struct file *file, const char *text, size_t length)
{
	const char *slash = strrchr(file->path, '/');
	size_t origin_bytes = slash == file->path ? 1 : (size_t)(slash - file->path), at = 0;

	for (size_t i = 0; i < length;) {
		const char *from = text + i;
		size_t bytes = 1, token_bytes = 1;
		if (*from == '$') {
			token_bytes = origin_length(from, length - i);
			if (!token_bytes)
				return refuse(
					needs, file,
					"names \"%.*s\", but $ORIGIN is the only variable that is accepted after a dollar sign",
					(int)(length < 200 ? length : 200), text);
			from = file->path;
			bytes = origin_bytes;
		}
		if (at + bytes >= sizeof(needs->expanded))
			return fail(needs, E2BIG);
		memcpy(needs->expanded + at, from, bytes);
		at += bytes;
		i += token_bytes;
	}
	needs->expanded[at] = '\0';
	return 0;
}

/* Adds the directory at needs->path, which has been checked, to those of the current file. */
static int add_directory(struct needs *needs, struct file *file)
{
	if (needs->directory_count == MAX_DIRECTORIES)
		return fail(needs, E2BIG);
	char *copy = strdup(needs->path);
	if (!copy)
		return fail(needs, ENOMEM);
	needs->directories[needs->directory_count++] = copy;
	file->directory_count++;
	return 0;
}

/*
 * Checks and adds the directory at needs->path. Returns 1 if it exists; 0 if it does not exist and no other user can
 * create it.
 */
static int take_directory(struct needs *needs, struct file *file, const char *entry, size_t length)
{
	if (needs->components > MAX_COMPONENTS)
		return fail(needs, E2BIG);
	int err = zp_trust_resolve_directory(&needs->trust, needs->path, needs->resolved, needs->reason,
					     sizeof(needs->reason));
	if (is_absent(err))
		return 0;
	if (err == -ENOMEM)
		return fail(needs, ENOMEM);
	if (err)
		return refuse(needs, file, "takes libraries from \"%.*s\", and %s", (int)(length < 200 ? length : 200),
			      entry, needs->reason);
	err = add_directory(needs, file);
	return err ? err : 1;
}

static int take_feature_directories(struct needs *needs, struct file *file, const char *entry, size_t length,
				    unsigned int depth);

/* Does the same with <needs->path>/<name> if it exists, and restores needs->path. */
static int take_subdirectory(struct needs *needs, struct file *file, const char *name, const char *entry, size_t length,
			     unsigned int depth)
{
	struct stat st;
	size_t path_length = strlen(needs->path), name_length = strlen(name);
	int result = 0;

	/* A path that is too long for PATH_MAX is too long for the linker, too. */
	if (path_length + 1 + name_length >= sizeof(needs->path))
		return 0;
	needs->path[path_length] = '/';
	memcpy(needs->path + path_length + 1, name, name_length + 1);
	/* The target of a link may be missing, and another user may be able to create it. */
	if (lstat(needs->path, &st) == 0 && (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode)))
		result = take_directory(needs, file, entry, length);
	if (result > 0)
		result = take_feature_directories(needs, file, entry, length, depth + 1);
	needs->path[path_length] = '\0';
	return result;
}

/* Every subdirectory of glibc-hwcaps is checked, because the linker chooses by the processor. */
static int take_entries(struct needs *needs, struct file *file, const char *entry, size_t length, unsigned int depth)
{
	const struct dirent *found;
	int err = 0;

	DIR *dir = opendir(needs->path);
	if (!dir)
		return errno == EACCES || errno == ENOENT ? 0 : fail(needs, errno);
	while (!err && (errno = 0, found = readdir(dir)))
		if (found->d_name[0] != '.')
			err = take_subdirectory(needs, file, found->d_name, entry, length, depth);
	if (!err && errno)
		err = fail(needs, errno);
	closedir(dir);
	return err;
}

static int take_feature_directories(struct needs *needs, struct file *file, const char *entry, size_t length,
				    unsigned int depth)
{
	static const char hwcaps[] = "/glibc-hwcaps";
	size_t path_length = strlen(needs->path), suffix_length = sizeof(hwcaps) - 1;
	const char *platform = (const char *)getauxval(AT_PLATFORM);
	int err = 0;

	if (depth > MAX_FEATURE_DEPTH)
		return 0;
	if (path_length >= suffix_length && strcmp(needs->path + path_length - suffix_length, hwcaps) == 0)
		return take_entries(needs, file, entry, length, MAX_FEATURE_DEPTH);
	for (size_t i = 0; !err && i < sizeof(feature_directories) / sizeof(*feature_directories); i++)
		err = take_subdirectory(needs, file, feature_directories[i], entry, length, depth);
	return !err && platform && strcmp(platform, "x86_64") != 0
		       ? take_subdirectory(needs, file, platform, entry, length, depth)
		       : err;
}

/* Checks one directory of a run path. */
static int take_entry(struct needs *needs, struct file *file, const char *entry, size_t length)
{
	int err = expand(needs, file, entry, length);
	if (err)
		return err;
	if (needs->expanded[0] != '/')
		return refuse(
			needs, file,
			"takes libraries from \"%.*s\", which is relative to the working directory; give its run path absolute directories, or directories that begin with $ORIGIN",
			(int)(length < 200 ? length : 200), entry);
	(void)strcpy(needs->path, needs->expanded);
	int result = take_directory(needs, file, entry, length);
	return result > 0 ? take_feature_directories(needs, file, entry, length, 1) : result;
}

static int take_run_path(struct needs *needs, struct file *file, const char *text)
{
	/* An empty run path has no effect; an empty entry of one is the working directory. */
	if (!*text)
		return 0;
	for (const char *entry = text;; entry++) {
		size_t length = strcspn(entry, ":");
		int err = take_entry(needs, file, entry, length);
		if (err || !entry[length])
			return err;
		entry += length;
	}
}

/* The linker loads a file once, by whatever names it is found. */
static bool is_known(const struct needs *needs, const struct stat *st)
{
	for (size_t i = 0; i < needs->file_count; i++)
		if (needs->files[i].inode == st->st_ino && needs->files[i].device == st->st_dev)
			return true;
	return false;
}

/* Takes the names from the file behind fd. Returns -errno with the reason. */
static int add_file(struct needs *needs, const struct file *needed_by, const char *path, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return fail(needs, errno);
	if (is_known(needs, &st))
		return 0;
	if (needs->file_count == MAX_FILES || needs->bytes_read > MAX_READ_BYTES)
		return fail(needs, E2BIG);
	struct file *file = &needs->files[needs->file_count];
	*file = (struct file){ .needed_by = needed_by, .path = strdup(path), .device = st.st_dev, .inode = st.st_ino };
	if (!file->path)
		return fail(needs, ENOMEM);
	needs->file_count++;
	int err = zp_dynamic_read(fd, &file->dynamic);
	needs->bytes_read += file->dynamic.bytes_read;
	if (err)
		return fail(needs, -err);
	for (size_t i = 0; i < file->dynamic.count; i++)
		file->has_run_path = file->has_run_path || file->dynamic.names[i].kind == ZP_DYNAMIC_RUN_PATH;
	return 0;
}

/* Checks the library at needs->path, if it exists, and queues it. */
static int take_library(struct needs *needs, const struct file *file, const char *name)
{
	struct stat st;
	if (++needs->lookups > MAX_LOOKUPS || needs->components > MAX_COMPONENTS)
		return fail(needs, E2BIG);
	int err = zp_trust_resolve(&needs->trust, needs->path, needs->resolved, needs->reason, sizeof(needs->reason));
	if (is_absent(err) || (err == -ENOEXEC && stat(needs->path, &st) == 0 && S_ISDIR(st.st_mode)))
		return 0;
	if (err == -ENOMEM)
		return fail(needs, ENOMEM);
	if (err)
		return refuse(needs, file, "needs the library \"%.200s\", and %s", name, needs->reason);
	int fd = open(needs->resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return errno == EACCES || errno == ENOENT ? 0 : fail(needs, errno);
	err = add_file(needs, file, needs->path, fd);
	close(fd);
	return err;
}

/* Searches the directories of one file, which also serve the libraries that it needs. */
static int search_directories(struct needs *needs, const struct file *file, const struct file *owner, const char *name)
{
	int err = 0;
	for (size_t i = 0; !err && i < owner->directory_count; i++) {
		int length = snprintf(needs->path, sizeof(needs->path), "%s/%s",
				      needs->directories[owner->first_directory + i], name);
		if (length > 0 && (size_t)length < sizeof(needs->path))
			err = take_library(needs, file, name);
	}
	return err;
}

/* A DT_RPATH also serves the libraries of the file's libraries, up to the first one with a DT_RUNPATH. */
static int search_library(struct needs *needs, const struct file *file, const char *name)
{
	int err = search_directories(needs, file, file, name);
	for (const struct file *above = file->needed_by; !err && !file->has_run_path && above; above = above->needed_by)
		if (!above->has_run_path)
			err = search_directories(needs, file, above, name);
	return err;
}

/* A library that is named by a path. If it is missing, other users must not be able to create it. */
static int take_library_by_path(struct needs *needs, const struct file *file, const char *name)
{
	if (name[0] != '/')
		return refuse(needs, file, "needs \"%.200s\", which is relative to the working directory", name);
	(void)strcpy(needs->path, name);
	char *slash = strrchr(needs->path, '/');
	slash[slash == needs->path] = '\0';
	int err = zp_trust_resolve_directory(&needs->trust, needs->path, needs->resolved, needs->reason,
					     sizeof(needs->reason));
	if (is_absent(err))
		return 0;
	if (err == -ENOMEM)
		return fail(needs, ENOMEM);
	if (err)
		return refuse(needs, file, "needs the library \"%.200s\", and %s", name, needs->reason);
	(void)strcpy(needs->path, name);
	return take_library(needs, file, name);
}

static int judge_name(struct needs *needs, const struct file *file, const char *name, size_t length)
{
	int err = expand(needs, file, name, length);
	if (err || !length)
		return err;
	return strchr(needs->expanded, '/') ? take_library_by_path(needs, file, needs->expanded)
					    : search_library(needs, file, needs->expanded);
}

static int judge_names(struct needs *needs, const struct file *file, const char *names)
{
	int err = 0;
	for (const char *name = names; !err && *name;) {
		size_t length = strcspn(name, ":");
		err = judge_name(needs, file, name, length);
		name += length;
		name += *name == ':';
	}
	return err;
}

static int judge_libraries(struct needs *needs, const struct file *file)
{
	int err = 0;
	for (size_t i = 0; !err && i < file->dynamic.count; i++) {
		const struct zp_dynamic_name *name = &file->dynamic.names[i];
		if (name->kind == ZP_DYNAMIC_LIBRARY)
			err = judge_name(needs, file, name->text, strlen(name->text));
		else if (name->kind == ZP_DYNAMIC_LIBRARIES)
			err = judge_names(needs, file, name->text);
	}
	return err;
}

static int judge_file(struct needs *needs, struct file *file)
{
	enum zp_dynamic_kind in_force = file->has_run_path ? ZP_DYNAMIC_RUN_PATH : ZP_DYNAMIC_RPATH;
	int err = 0;

	file->first_directory = needs->directory_count;
	for (size_t i = 0; !err && i < file->dynamic.count; i++)
		if (file->dynamic.names[i].kind == in_force)
			err = take_run_path(needs, file, file->dynamic.names[i].text);
	return err ? err : judge_libraries(needs, file);
}

int zp_needs_judge(const struct zp_trust *trust, int fd, const char *path, const char *resolved, uint64_t *bytes_read,
		   char *why, size_t why_bytes)
{
	struct needs *needs = malloc(sizeof(*needs));
	if (!needs) {
		snprintf(why, why_bytes, "%s", strerror(ENOMEM));
		return -ENOMEM;
	}
	needs->trust = zp_trust_of_named(trust, path);
	needs->trust.components = &needs->components;
	needs->file_count = needs->directory_count = needs->lookups = needs->components = 0;
	needs->bytes_read = 0;
	needs->why = why;
	needs->why_bytes = why_bytes;
	int err = add_file(needs, NULL, resolved, fd);
	for (size_t i = 0; !err && i < needs->file_count; i++)
		err = judge_file(needs, &needs->files[i]);
	for (size_t i = 0; i < needs->file_count; i++) {
		free(needs->files[i].path);
		zp_dynamic_clear(&needs->files[i].dynamic);
	}
	for (size_t i = 0; i < needs->directory_count; i++)
		free(needs->directories[i]);
	*bytes_read += needs->bytes_read;
	free(needs);
	return err;
}
