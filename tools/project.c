/* SPDX-License-Identifier: MIT
 *
 * project.c - write the project of a new plugin
 *
 * The directory is created here, so it starts empty. If a later step fails, the files that were written are removed,
 * and no other file is touched. Signals are blocked meanwhile, so they cannot leave a half-written project.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zpool.h>

#include "interrupt.h"
#include "message.h"
#include "project.h"
#include "template/template.h"

enum { PATH_BYTES = 64, YEAR_BYTES = 24, STACK_BYTES = 64 };

struct project_file {
	const char *path;         /* the driver type replaces @type@ */
	const char *const *lines; /* NULL: the lines of the driver or filter template */
};

static const struct project_file make_files[] = {
	{ "Makefile", template_project_mk },
	{ "tests/roundtrip.c", template_roundtrip_c },
	{ "tests/check.sh", template_check_sh },
	{ "README.md", template_README_md },
	{ "LICENSE", template_LICENSE },
	{ ".gitignore", template_gitignore },
	{ "@type@.c", NULL },
	{ NULL, NULL },
};

static const struct project_file autotools_files[] = {
	{ "configure.ac", template_configure_ac },
	{ "Makefile.am", template_Makefile_am },
	{ "tests/roundtrip.c", template_roundtrip_c },
	{ "tests/check.sh", template_check_sh },
	{ "README.md", template_README_md },
	{ "LICENSE", template_LICENSE },
	{ ".gitignore", template_gitignore_autotools },
	{ "@type@.c", NULL },
	{ NULL, NULL },
};

/* Returns the value of a word between two @ in a template, or NULL if it is not one of ours and the @ is literal. */
static const char *word_value(const struct project *project, const char *word, size_t length)
{
	static char year[YEAR_BYTES], stack[STACK_BYTES];
	const time_t now = time(NULL);
	struct tm date = { 0 };
	const char *const values[][2] = {
		{ "type", project->type },
		{ "spec", project->filter ? stack : project->type },
		{ "kind", project->filter ? "filter" : "driver" },
		{ "does", project->filter ? "it counts objects, and logs a warning when there are too many"
					  : "it keeps each object in a run of pages of its own" },
		{ "version", ZPOOL_VERSION },
		{ "build", project->autotools ? "autoreconf -fi && ./configure && make" : "make" },
		{ "year", year },
	};

	(void)localtime_r(&now, &date);
	snprintf(year, sizeof(year), "%ld", date.tm_year + 1900L);
	snprintf(stack, sizeof(stack), "%s+zbud", project->type);
	for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		if (strlen(values[i][0]) == length && !memcmp(values[i][0], word, length))
			return values[i][1];
	return NULL;
}

static void put_text(const struct project *project, const char *text, FILE *stream)
{
	while (*text) {
		size_t plain = strcspn(text, "@");
		const char *end = text[plain] ? strchr(text + plain + 1, '@') : NULL;
		const char *value =
			end ? word_value(project, text + plain + 1, (size_t)(end - text) - plain - 1) : NULL;

		fwrite(text, 1, plain, stream);
		text += plain;
		if (value) {
			fputs(value, stream);
			text = end + 1;
		} else if (*text) {
			fputc(*text++, stream);
		}
	}
}

static void path_of(const struct project *project, const struct project_file *file, char path[PATH_BYTES])
{
	static const char word[] = "@type@";
	bool named = strncmp(file->path, word, strlen(word)) == 0;

	snprintf(path, PATH_BYTES, "%s%s", named ? project->type : "", file->path + (named ? strlen(word) : 0));
}

/* *made becomes true if the file was created, complete or not. Returns true, or false with errno. */
static bool write_file(const struct project *project, int dir_fd, const struct project_file *file, bool *made)
{
	const char *const *lines = file->lines;
	char path[PATH_BYTES];
	FILE *stream;
	int fd;
	int err;

	path_of(project, file, path);
	fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
	*made = fd >= 0;
	if (fd < 0)
		return false;
	stream = fdopen(fd, "w");
	if (!stream) {
		err = errno;
		close(fd);
		errno = err;
		return false;
	}
	errno = 0;
	if (!lines)
		lines = project->filter ? template_filter_c : template_driver_c;
	for (const char *const *line = lines; *line; line++) {
		put_text(project, *line, stream);
		fputc('\n', stream);
	}
	err = fflush(stream) || ferror(stream) ? errno ? errno : EIO : 0;
	if (fclose(stream) && !err)
		err = errno;
	errno = err;
	return err == 0;
}

static void remove_files(const struct project *project, int dir_fd, const struct project_file *files, size_t count)
{
	char path[PATH_BYTES];

	for (size_t i = 0; i < count; i++) {
		path_of(project, &files[i], path);
		unlinkat(dir_fd, path, 0);
	}
	unlinkat(dir_fd, "tests", AT_REMOVEDIR);
}

/*
 * Fills the directory, or leaves it empty. Returns true, or false after a message. Messages come last, because they end
 * the program if there is no memory for them.
 */
static bool fill_dir(const struct project *project, int dir_fd)
{
	const struct project_file *files = project->autotools ? autotools_files : make_files;
	char path[PATH_BYTES] = "tests";
	bool good = mkdirat(dir_fd, path, 0777) == 0;
	size_t count = 0;
	int error = errno;

	while (good && files[count].path) {
		bool made;

		path_of(project, &files[count], path);
		good = write_file(project, dir_fd, &files[count], &made);
		error = errno;
		count += made;
	}
	if (good)
		return true;
	remove_files(project, dir_fd, files, count);
	rmdir(project->dir);
	warn("cannot write %s/%s: %s; everything written so far was removed", project->dir, path, strerror(error));
	return false;
}

bool project_write(const struct project *project)
{
	sigset_t previous;
	bool good = false;
	int dir_fd;

	interrupt_block(&previous);
	if (mkdir(project->dir, 0777)) {
		warn("cannot create the directory %s: %s; nothing was written", project->dir, strerror(errno));
		interrupt_unblock(&previous);
		return false;
	}
	dir_fd = open(project->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (dir_fd < 0) {
		int error = errno;

		rmdir(project->dir);
		warn("cannot open the directory %s: %s", project->dir, strerror(error));
	} else {
		good = fill_dir(project, dir_fd);
		close(dir_fd);
	}
	interrupt_unblock(&previous);
	return good;
}
