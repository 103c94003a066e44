/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[PATH_MAX / 2];

void scratch_make(void)
{
	const char *parent = getenv("TMPDIR");
	char resolved[PATH_MAX];

	(void)umask(022);
	ck_assert_ptr_nonnull(realpath(parent && *parent ? parent : "/tmp", resolved));
	ck_assert_int_lt(snprintf(root, sizeof(root), "%.*s/zpool-unit.XXXXXX", PATH_MAX / 2 - 32, resolved),
			 (int)sizeof(root));
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *walk)
{
	(void)st, (void)type, (void)walk;
	return remove(path);
}

void scratch_remove(void)
{
	(void)nftw(root, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *scratch_path(const char *entry)
{
	static char paths[8][PATH_MAX];
	static unsigned int next;
	char *path = paths[next++ % 8];
	ck_assert_int_lt(snprintf(path, PATH_MAX, *entry ? "%s/%s" : "%s%s", root, entry), PATH_MAX);
	return path;
}

void scratch_directory(const char *entry, mode_t mode)
{
	ck_assert_int_eq(mkdir(scratch_path(entry), 0700), 0);
	ck_assert_int_eq(chmod(scratch_path(entry), mode), 0);
}

void scratch_file(const char *entry, mode_t mode, const void *content, size_t bytes)
{
	int fd = open(scratch_path(entry), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, bytes), (ssize_t)bytes);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	ck_assert_int_eq(close(fd), 0);
}

void scratch_link(const char *entry, const char *target)
{
	ck_assert_int_eq(symlink(target, scratch_path(entry)), 0);
}

void scratch_copy(const char *entry, const char *from)
{
	struct stat st;
	int fd = open(from, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fstat(fd, &st), 0);
	char *content = malloc((size_t)st.st_size);
	ck_assert_ptr_nonnull(content);
	ck_assert_int_eq(read(fd, content, (size_t)st.st_size), st.st_size);
	close(fd);
	/* The file is replaced and not overwritten, because the code of a mapped file must not change. */
	(void)unlink(scratch_path(entry));
	scratch_file(entry, 0755, content, (size_t)st.st_size);
	free(content);
}

bool scratch_plugin(const char *entry, const char *module)
{
	const char *build = getenv("abs_top_builddir");
	char path[PATH_MAX];
	(void)snprintf(path, sizeof(path), "%s/tests/unit/loader/.libs/%s.so", build ? build : ".", module);
	if (access(path, R_OK) != 0)
		return false;
	scratch_copy(entry, path);
	return true;
}
