/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/judge.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "loader/needs.h"

struct zp_file_id zp_file_id_of(const struct stat *st)
{
	return (struct zp_file_id){ st->st_dev, st->st_ino, st->st_size, st->st_mtim, st->st_ctim };
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool zp_file_id_equal(const struct zp_file_id *a, const struct zp_file_id *b)
{
	return a->device == b->device && a->inode == b->inode && a->bytes == b->bytes &&
	       same_time(a->modified, b->modified) && same_time(a->changed, b->changed);
}

static void begin(struct zp_judgement *judgement)
{
	judgement->file_read = false;
	judgement->content = false;
	judgement->bytes_read = 0;
	judgement->why[0] = '\0';
}

/*
 * dlopen() replaces variables such as $LIB and ${ORIGIN} in a path, and would open another file than the one that was
 * checked. Each linker has variables of its own, so none is guessed.
 */
static int judge_name(struct zp_judgement *judgement)
{
	if (!strchr(judgement->resolved, '$'))
		return 0;
	snprintf(
		judgement->why, sizeof(judgement->why),
		"the path %s has a dollar sign, which the dynamic linker may take for a variable, and open another file; install the plugin in a directory without dollar signs",
		judgement->resolved);
	return -EPERM;
}

int zp_judge_path(struct zp_judgement *judgement, const char *path)
{
	begin(judgement);
	int err =
		zp_trust_resolve(&judgement->trust, path, judgement->resolved, judgement->why, sizeof(judgement->why));
	return err ? err : judge_name(judgement);
}

static int fail_unread(struct zp_judgement *judgement, int err)
{
	snprintf(judgement->why, sizeof(judgement->why), "%s: %s", judgement->resolved, strerror(-err));
	return err;
}

__attribute__((format(printf, 2, 3))) static int fail_content(struct zp_judgement *judgement, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(judgement->why, sizeof(judgement->why), format, args);
	va_end(args);
	judgement->content = true;
	return -ENOEXEC;
}

/* The linker would only say that it failed to map a segment. This is no fault of the content, and may be put right. */
static int judge_mount(struct zp_judgement *judgement, int fd)
{
#ifdef ST_NOEXEC
	struct statvfs mount;

	if (fstatvfs(fd, &mount) == 0 && (mount.f_flag & ST_NOEXEC)) {
		snprintf(
			judgement->why, sizeof(judgement->why),
			"%s is on a file system that is mounted with noexec, where no code can run; install it elsewhere, or mount that file system with exec",
			judgement->resolved);
		return -ENOEXEC;
	}
#else
	(void)judgement;
	(void)fd;
#endif
	return 0;
}

static int judge_open_file(struct zp_judgement *judgement, int fd, const char *path, const char *type)
{
	const struct zp_elf_report *report = &judgement->report;
	struct stat st;

	int err = fstat(fd, &st) < 0 ? -errno : zp_elf_examine(fd, &judgement->report);
	if (err)
		return fail_unread(judgement, err);
	judgement->id = zp_file_id_of(&st);
	judgement->file_read = true;
	judgement->bytes_read = report->bytes_read;
	/* A file that is refused for its own content need not have its libraries checked. */
	if (report->fault[0])
		return fail_content(judgement, "%s", report->fault);
	err = judge_mount(judgement, fd);
	if (err)
		return err;
	err = zp_needs_judge(&judgement->trust, fd, path, judgement->resolved, &judgement->bytes_read, judgement->why,
			     sizeof(judgement->why));
	if (!err && report->has_note && strcmp(report->type, type) != 0)
		return fail_content(judgement, "its note is that of driver \"%s\"; name the file %s.so", report->type,
				    report->type);
	return err;
}

int zp_judge_content(struct zp_judgement *judgement, const char *path, const char *type)
{
	int fd = open(judgement->resolved, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);

	begin(judgement);
	if (fd < 0)
		return fail_unread(judgement, -errno);
	int err = judge_open_file(judgement, fd, path, type);
	close(fd);
	return err;
}
