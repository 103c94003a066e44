/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/loader.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "loader/judge.h"
#include "loader/linker.h"
#include "loader/module.h"
#include "loader/search.h"
#include "loader/trust.h"

/* The file of a plugin that was found, and was not yet opened as code. */
struct candidate {
	struct zp_judgement judgement;
	char path[PATH_MAX]; /* as found in the search */
};

void zp_load_failure_clear(struct zp_load_failure *failure)
{
	free(failure->message);
	free(failure->reason);
	*failure = (struct zp_load_failure){ 0 };
}

__attribute__((format(printf, 3, 4))) static int fail(struct zp_load_failure *failure, int err, const char *format, ...)
{
	va_list args;
	zp_load_failure_clear(failure);
	va_start(args, format);
	if (vasprintf(&failure->message, format, args) < 0)
		failure->message = NULL;
	va_end(args);
	failure->err = err;
	return -err;
}

int zp_load_failure_set_content(struct zp_load_failure *failure, const char *type, const char *path,
				const struct zp_file_id *id, const char *reason)
{
	int err = fail(failure, ENOEXEC, "Driver \"%s\" cannot be loaded from %s: %s.", type, path, reason);
	failure->reason = strdup(reason);
	failure->content = failure->reason != NULL;
	failure->id = *id;
	return err;
}

static int fail_content(struct zp_load_failure *failure, const struct candidate *candidate, const char *type,
			const char *reason)
{
	return zp_load_failure_set_content(failure, type, candidate->path, &candidate->judgement.id, reason);
}

/* Writes "<directory>" in path as "<directory>/<type>.so". Returns false if the path is too long. */
static bool append_file(char path[PATH_MAX], const char *type)
{
	size_t length = strlen(path);
	if (length + 1 + strlen(type) + sizeof(".so") > PATH_MAX)
		return false;
	(void)stpcpy(stpcpy(stpcpy(path + length, path[length - 1] == '/' ? "" : "/"), type), ".so");
	return true;
}

/* After these errors, the directory may well have the file, and another one must not take its place. */
static bool is_passing(int err)
{
	return err == ENOMEM || err == EIO;
}

/*
 * The first directory that contains a file of that name decides. Returns 0 and sets candidate->path; or returns -ENOENT
 * and adds each tried path to `tried`, unless that is NULL. A directory that cannot be searched is skipped; like in
 * execvp(3), its errno is the result if no other directory has the file.
 */
static int find_file(const char *type, const char *path, struct candidate *candidate, FILE *tried)
{
	struct stat st;
	unsigned int directories = 0;
	int err = -ENOENT;

	for (const char *cursor = path; zp_search_next(&cursor, candidate->path); directories++) {
		const char *reason = "too long for a path";
		if (append_file(candidate->path, type)) {
			if (lstat(candidate->path, &st) == 0)
				return 0;
			if (errno != ENOENT && errno != ENOTDIR)
				err = -errno;
			reason = strerror(errno);
			if (is_passing(-err) && !tried)
				return err;
		}
		if (tried)
			fprintf(tried, " %s (%s);", candidate->path, reason);
	}
	if (tried) {
		char refused[ZP_REFUSED_BYTES];
		for (const char *cursor = path; zp_search_next_refused(&cursor, refused); directories++)
			fprintf(tried, " not \"%s\" (only absolute directories are searched);", refused);
		if (!directories)
			fprintf(tried, " no directory, because the plugin path \"%.200s\" names none;", path);
	}
	return err;
}

/*
 * Searches a second time to collect the tried paths for the message, so that a successful search need not collect them.
 */
static int fail_absent(const char *type, const char *path, int err, struct candidate *candidate,
		       struct zp_load_failure *failure)
{
	char *text = NULL;
	size_t text_bytes = 0;
	FILE *tried = open_memstream(&text, &text_bytes);

	if (tried) {
		(void)find_file(type, path, candidate, tried);
		fclose(tried);
	}
	if (text && text_bytes)
		text[text_bytes - 1] = '\0';
	err = fail(
		failure, -err,
		"No driver \"%s\": it is neither registered nor linked into the program; tried%s. Install the plugin in one of these directories, or name others with zpool_set_plugin_path() or ZPOOL_PLUGIN_PATH.",
		type, text ? text : " (out of memory)");
	free(text);
	return err;
}

static int search(const char *type, struct candidate *candidate, struct zp_load_failure *failure)
{
	char *path = zp_search_get_path();
	if (!path)
		return fail(failure, ENOMEM, "Out of memory while looking for driver \"%s\".", type);
	int err = find_file(type, path, candidate, NULL);
	if (err)
		err = fail_absent(type, path, err, candidate, failure);
	free(path);
	return err;
}

static int check_unchanged(const char *type, const struct candidate *candidate, const struct zp_module *module,
			   struct zp_load_failure *failure)
{
	struct stat st;
	if (stat(candidate->judgement.resolved, &st) < 0 || st.st_dev != candidate->judgement.id.device ||
	    st.st_ino != candidate->judgement.id.inode)
		return fail(failure, EAGAIN, "Driver \"%s\": %s was replaced while it was being loaded; try again.",
			    type, candidate->path);
	int outdated = zp_module_is_outdated(module, candidate->judgement.id.inode);
	if (outdated < 0)
		return fail(failure, -outdated, "Driver \"%s\" was not loaded from %s: /proc/self/maps: %s.", type,
			    candidate->path, strerror(-outdated));
	if (outdated)
		return fail(
			failure, EBUSY,
			"Driver \"%s\": %s was replaced, but another part of the program still has the old file mapped, and the system would run its code.",
			type, candidate->path);
	return 0;
}

static int open_file(const char *type, const struct candidate *candidate, struct zp_loaded *loaded,
		     struct zp_load_failure *failure)
{
	char *why = NULL;
	int err = zp_module_open(candidate->judgement.resolved, &loaded->module, &why);
	if (err) {
		/* This may not be the fault of the file's content: something that it needs may be installed later. */
		err = fail(failure, -err, "Driver \"%s\" cannot be loaded from %s: %s.", type, candidate->path,
			   why ? why : "out of memory");
		free(why);
		return err;
	}
	err = check_unchanged(type, candidate, loaded->module, failure);
	if (!err) {
		loaded->driver = zp_module_driver(loaded->module, &loaded->symbol_bytes);
		if (!loaded->symbol_bytes)
			loaded->symbol_bytes = candidate->judgement.report.driver_bytes;
		if (!loaded->driver)
			err = fail_content(failure, candidate, type, "it exports no symbol zpool_driver of its own");
	}
	if (!err && !(loaded->path = strdup(candidate->path)))
		err = fail(failure, ENOMEM, "Out of memory while loading driver \"%s\".", type);
	if (err)
		zp_loader_discard(loaded);
	loaded->id = candidate->judgement.id;
	return err;
}

static int fail_judged(const char *type, const struct candidate *candidate, int err, struct zp_load_failure *failure)
{
	if (candidate->judgement.content)
		return fail_content(failure, candidate, type, candidate->judgement.why);
	return fail(failure, -err, "Driver \"%s\" was not loaded from %s: %s.", type, candidate->path,
		    candidate->judgement.why);
}

static bool is_remembered(const struct candidate *candidate, const struct zp_load_failure *remembered)
{
	struct stat st;
	if (!remembered->content || stat(candidate->judgement.resolved, &st) < 0)
		return false;
	const struct zp_file_id id = zp_file_id_of(&st);
	return zp_file_id_equal(&remembered->id, &id);
}

static int load_file(const char *type, const struct zp_load_failure *remembered, struct zp_loaded *loaded,
		     struct zp_load_failure *failure)
{
	/*
	 * On the heap, because several path buffers are too large for the stack of a small thread; not cleared, because
	 * each page that a cold load touches costs it a page fault.
	 */
	struct candidate *candidate = malloc(sizeof(*candidate));
	if (!candidate)
		return fail(failure, ENOMEM, "Out of memory while loading driver \"%s\".", type);

	struct zp_judgement *judgement = &candidate->judgement;
	int err = search(type, candidate, failure);
	zp_trust_self(&judgement->trust);
	if (!err && (err = zp_judge_path(judgement, candidate->path)) != 0)
		err = fail_judged(type, candidate, err, failure);
	else if (!err && is_remembered(candidate, remembered))
		err = zp_load_failure_set_content(failure, type, candidate->path, &remembered->id, remembered->reason);
	else if (!err && (err = zp_judge_content(judgement, candidate->path, type)) != 0)
		err = fail_judged(type, candidate, err, failure);
	else if (!err) {
		zp_log(ZPOOL_LOG_DEBUG, "Loading driver \"%s\" from %s.", type, candidate->judgement.resolved);
		err = open_file(type, candidate, loaded, failure);
	}
	free(candidate);
	return err;
}

static int load_preloaded(const char *type, struct zp_loaded *loaded, struct zp_load_failure *failure)
{
	int err = zp_module_open_preloaded(type, &loaded->module);
	if (err == -ENOMEM)
		return fail(failure, ENOMEM, "Out of memory while looking for driver \"%s\" in the program.", type);
	if (err)
		return err;
	loaded->driver = zp_module_driver(loaded->module, &loaded->symbol_bytes);
	if (loaded->driver)
		return 0;
	zp_loader_discard(loaded);
	return fail(failure, ENOEXEC,
		    "The module \"%s\" that is linked into the program lacks the symbol %s_LTX_zpool_driver.", type,
		    type);
}

int zp_loader_load(const char *type, bool files_allowed, const struct zp_load_failure *remembered,
		   struct zp_loaded *loaded, struct zp_load_failure *failure)
{
	*loaded = (struct zp_loaded){ 0 };
	*failure = (struct zp_load_failure){ 0 };
	int err = load_preloaded(type, loaded, failure);
	if (err != -ENOENT)
		return err;
	if (!files_allowed)
		return fail(failure, EPERM,
			    "Driver \"%s\" is not loaded, and zpool_loading_disable() forbids loading it.", type);
	return load_file(type, remembered, loaded, failure);
}

void zp_loader_discard(struct zp_loaded *loaded)
{
	if (loaded->module)
		zp_module_discard(loaded->module);
	free(loaded->path);
	*loaded = (struct zp_loaded){ 0 };
}

void zp_loader_make_resident(struct zp_loaded *loaded)
{
	zp_module_make_resident(loaded->module);
}

int zp_loader_unload(struct zp_loaded *loaded, char **why)
{
	int closed = zp_module_close(loaded->module, why);
	if (closed > 0) {
		free(loaded->path);
		*loaded = (struct zp_loaded){ 0 };
	}
	return closed;
}

void zp_loader_each_preloaded(int (*fn)(const char *type, const struct zpool_driver *driver, void *user), void *user)
{
	zp_module_each_preloaded(fn, user);
}

void zp_loader_fork_child(void)
{
	zp_linker_forget_calls();
}
