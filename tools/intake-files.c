/* SPDX-License-Identifier: MIT
 *
 * intake-files.c - units from files and directories
 *
 * All names are collected before any file is read. The sum of the sizes then gives an accurate progress bar, and
 * reading needs no more than one open file at a time.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <search.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "intake.h"
#include "message.h"
#include "progress.h"

/* Two names with the same device and inode are the same file. */
struct identity {
	dev_t device;
	ino_t inode;
};

struct file {
	struct identity identity;
	char path[];
};

struct listing {
	struct file **at; /* in the order in which they are read */
	size_t count;
	size_t room;
	void *known; /* tsearch(3) tree of the same files by identity */
	uint64_t bytes;
	struct intake *intake;
};

static int compare_identity(const void *a, const void *b)
{
	const struct file *left = a, *right = b;

	if (left->identity.device != right->identity.device)
		return left->identity.device < right->identity.device ? -1 : 1;
	if (left->identity.inode != right->identity.inode)
		return left->identity.inode < right->identity.inode ? -1 : 1;
	return 0;
}

static int compare_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void skip(struct listing *listing, const char *path, const char *reason)
{
	warn("%s: %s; skipped", path, reason);
	listing->intake->skipped++;
}

static void list_file(struct listing *listing, const FTSENT *entry)
{
	size_t length = strlen(entry->fts_accpath) + 1;
	struct file *file = malloc(sizeof(*file) + length);
	struct file **known;

	if (!file)
		out_of_memory();
	file->identity = (struct identity){ entry->fts_statp->st_dev, entry->fts_statp->st_ino };
	memcpy(file->path, entry->fts_accpath, length);
	known = tsearch(file, &listing->known, compare_identity);
	if (!known)
		out_of_memory();
	if (*known != file) {
		free(file);
		return;
	}
	if (listing->count == listing->room) {
		listing->room = listing->room ? 2 * listing->room : 1024;
		listing->at = reallocarray(listing->at, listing->room, sizeof(*listing->at));
		if (!listing->at)
			out_of_memory();
	}
	listing->at[listing->count++] = file;
	listing->bytes += (uint64_t)entry->fts_statp->st_size;
}

static void list_entry(struct listing *listing, const FTSENT *entry)
{
	switch (entry->fts_info) {
	case FTS_F:
		list_file(listing, entry);
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		skip(listing, entry->fts_path, strerror(entry->fts_errno));
		break;
	case FTS_SLNONE:
		skip(listing, entry->fts_path, "dangling symbolic link");
		break;
	case FTS_DEFAULT:
		/*
		 * Devices, sockets and pipes inside a directory are skipped without a message, because the user did
		 * not name them.
		 */
		if (entry->fts_level == FTS_ROOTLEVEL)
			skip(listing, entry->fts_path, "neither a regular file nor a directory");
		break;
	default:
		break;
	}
}

/* Returns the paths except "-", which stands for standard input. The caller frees the array. */
static char **real_paths(char *const *paths, bool *standard_input)
{
	size_t count = 0;
	char **real;

	while (paths[count])
		count++;
	real = calloc(count + 1, sizeof(*real));
	if (!real)
		out_of_memory();
	count = 0;
	for (; *paths; paths++)
		if (strcmp(*paths, "-"))
			real[count++] = *paths;
		else
			*standard_input = true;
	return real;
}

static int walk_paths(struct listing *listing, char *const *paths)
{
	FTS *walk = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_NOCHDIR, compare_name);
	FTSENT *entry;
	int error;

	if (!walk) {
		error = errno;
		warn("cannot search the given paths: %s", strerror(error));
		return -error;
	}
	progress_start("looking for files", 0);
	while ((entry = fts_read(walk))) {
		list_entry(listing, entry);
		progress_update(0);
	}
	error = errno;
	progress_end();
	fts_close(walk);
	if (error)
		warn("could not finish searching the given paths: %s", strerror(error));
	return -error;
}

static int list_files(struct listing *listing, char *const *paths, bool *standard_input)
{
	char **real = real_paths(paths, standard_input);
	int error = *real ? walk_paths(listing, real) : 0;

	free(real);
	return error;
}

/* Reads until the buffer is full or the input ends. A short read must not make a short unit in the middle of a file. */
static ssize_t read_full(int fd, unsigned char *buffer)
{
	size_t have = 0;

	while (have < INTAKE_BUFFER_BYTES) {
		ssize_t done = read(fd, buffer + have, INTAKE_BUFFER_BYTES - have);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -1;
		if (!done)
			break;
		have += (size_t)done;
	}
	return (ssize_t)have;
}

/*
 * Reads everything from a descriptor. Returns -errno only if the units could not be stored; a read error is reported
 * and skipped.
 */
static int read_descriptor(struct units *units, struct listing *listing, int fd, const char *name,
			   unsigned char *buffer, uint64_t before)
{
	uint64_t bytes = 0;
	int error = 0;
	ssize_t got;

	while (!error && (got = read_full(fd, buffer)) != 0) {
		if (got < 0) {
			skip(listing, name, strerror(errno));
			return 0;
		}
		error = units_add(units, buffer, (size_t)got);
		bytes += (uint64_t)got;
		progress_update(before + bytes);
	}
	listing->intake->files++;
	return error;
}

/* Returns -errno only if the units could not be stored. */
static int read_file(struct units *units, struct listing *listing, const struct file *file, unsigned char *buffer,
		     uint64_t before)
{
	int fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat now;
	int error;

	if (fd < 0) {
		skip(listing, file->path, strerror(errno));
		return 0;
	}
	if (fstat(fd, &now) || !S_ISREG(now.st_mode)) {
		skip(listing, file->path, "no longer a regular file");
		close(fd);
		return 0;
	}
	error = read_descriptor(units, listing, fd, file->path, buffer, before);
	close(fd);
	return error;
}

static int read_files(struct units *units, struct listing *listing, bool standard_input)
{
	unsigned char *buffer = malloc(INTAKE_BUFFER_BYTES);
	uint64_t start = units->originals.bytes;
	int error = 0;

	if (!buffer)
		out_of_memory();
	if (standard_input && isatty(STDIN_FILENO))
		warn("reading standard input from the terminal; press Ctrl-D at the beginning of a line to end it");
	progress_start("reading, compressing", listing->bytes);
	for (size_t i = 0; i < listing->count && !error; i++)
		error = read_file(units, listing, listing->at[i], buffer, units->originals.bytes - start);
	if (standard_input && !error)
		error = read_descriptor(units, listing, STDIN_FILENO, "standard input", buffer,
					units->originals.bytes - start);
	progress_end();
	free(buffer);
	return error;
}

static void keep(void *file)
{
	(void)file; /* the array owns the name */
}

int intake_files(struct units *units, char *const *paths, struct intake *intake)
{
	struct listing listing = { .intake = intake };
	bool standard_input = false;
	int error = list_files(&listing, paths, &standard_input);

	if (!error)
		error = read_files(units, &listing, standard_input);
	tdestroy(listing.known, keep);
	for (size_t i = 0; i < listing.count; i++)
		free(listing.at[i]);
	free(listing.at);
	return error;
}
