/* SPDX-License-Identifier: MIT
 *
 * intake-process.c - units from the private memory of a running process
 *
 * /proc/PID/maps lists the private writable mappings of the process, and /proc/PID/pagemap shows which of their pages
 * belong to the process alone: those that are present or swapped out, and not pages of the mapped file. Without
 * pagemap, which some kernels lack, anonymous mappings are read as a whole. A unit is read if any of its pages belongs
 * to the process; pages in it that were never touched read as zero, and are not read from the process, because that
 * would allocate them.
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "intake.h"
#include "message.h"
#include "progress.h"

#define PAGEMAP_PRESENT (UINT64_C(1) << 63)
#define PAGEMAP_SWAPPED (UINT64_C(1) << 62)
#define PAGEMAP_FILE (UINT64_C(1) << 61)

struct mapping {
	uint64_t start, end;
	bool file;
};

struct process {
	pid_t pid;
	int memory;  /* /proc/PID/mem */
	int pagemap; /* -1: not available */
	size_t page_bytes;
	struct mapping *at;
	size_t count;
	uint64_t bytes;
	unsigned char *buffer; /* INTAKE_BUFFER_BYTES */
	uint64_t *pages;       /* the buffer's entries of pagemap */
	struct intake *intake;
};

static FILE *open_proc_text(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return fopen(path, "re");
}

static int open_proc(pid_t pid, const char *name)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* Explains why the process could not be opened. Returns -error. */
static int refuse(pid_t pid, int error)
{
	bool there = !kill(pid, 0) || errno == EPERM;

	if ((error == ENOENT || error == ESRCH) && !there)
		warn("there is no process %d", (int)pid);
	else if (error == EACCES || error == EPERM || error == ENOENT)
		warn("this user may not read the memory of process %d: %s; try again as its owner or as root", (int)pid,
		     strerror(error == ENOENT ? EACCES : error));
	else if (error == ESRCH)
		warn("process %d has no memory of its own: it is a kernel thread, or has ended", (int)pid);
	else
		warn("cannot read the memory of process %d: %s", (int)pid, strerror(error));
	return -error;
}

/* A line of maps: "start-end rwxp offset device inode path", with single blanks up to the inode. */
static bool parse_mapping(const char *line, struct mapping *mapping)
{
	const char *rights;
	char *at;

	mapping->start = strtoull(line, &at, 16);
	if (*at != '-')
		return false;
	mapping->end = strtoull(at + 1, &at, 16);
	if (strlen(at) < strlen(" rwxp "))
		return false;
	rights = at + 1;
	for (int field = 0; field < 3 && at; field++)
		at = strchr(at + 1, ' ');
	if (!at)
		return false;
	mapping->file = strtoull(at, NULL, 10) != 0;
	return rights[1] == 'w' && rights[3] == 'p';
}

static int list_mappings(struct process *process)
{
	FILE *maps = open_proc_text(process->pid, "maps");
	struct mapping mapping;
	char *line = NULL;
	size_t room = 0;
	int error = 0;

	if (!maps)
		return refuse(process->pid, errno);
	errno = 0;
	while (getline(&line, &room, maps) >= 0) {
		if (!parse_mapping(line, &mapping) || (mapping.file && process->pagemap < 0))
			continue;
		process->at = reallocarray(process->at, process->count + 1, sizeof(*process->at));
		if (!process->at)
			out_of_memory();
		process->at[process->count++] = mapping;
		process->bytes += mapping.end - mapping.start;
	}
	if (ferror(maps))
		error = refuse(process->pid, errno ? errno : EIO);
	free(line);
	fclose(maps);
	if (!error && !process->count) {
		error = refuse(process->pid, ESRCH);
	}
	return error;
}

/*
 * Marks the pages of the range that belong to the process: each entry of process->pages becomes 0 or nonzero. Returns
 * false if there are none.
 */
static bool find_own_pages(struct process *process, const struct mapping *mapping, uint64_t start, size_t count)
{
	ssize_t want = (ssize_t)(count * sizeof(uint64_t));
	off_t offset = (off_t)(start / process->page_bytes * sizeof(uint64_t));
	bool own = false;

	if (process->pagemap < 0 || pread(process->pagemap, process->pages, (size_t)want, offset) != want) {
		/* If the process has ended meanwhile, reading its memory will show that. */
		memset(process->pages, mapping->file ? 0 : 0xff, (size_t)want);
		return !mapping->file;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t page = process->pages[i];

		process->pages[i] = page & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED) && !(page & PAGEMAP_FILE);
		own = own || process->pages[i];
	}
	return own;
}

/*
 * Reads pages first to last into the buffer. Pages that have disappeared since lose their mark. Returns false if the
 * process ended.
 */
static bool read_pages(struct process *process, uint64_t start, size_t first, size_t last)
{
	size_t bytes = process->page_bytes;
	ssize_t got;

	while (first < last) {
		got = pread(process->memory, process->buffer + first * bytes, (last - first) * bytes,
			    (off_t)(start + first * bytes));
		if (!got)
			return false;
		if (got < (ssize_t)bytes) {
			process->pages[first] = 0;
			process->intake->vanished_bytes += bytes;
			memset(process->buffer + first * bytes, 0, bytes);
			first++;
			continue;
		}
		first += (size_t)got / bytes;
	}
	return true;
}

static bool read_runs(struct process *process, uint64_t start, size_t count)
{
	size_t first = 0;

	while (first < count) {
		size_t last = first;

		while (last < count && process->pages[last])
			last++;
		if (!read_pages(process, start, first, last))
			return false;
		first = last;
		while (first < count && !process->pages[first])
			first++;
	}
	return true;
}

static bool is_own(const struct process *process, size_t start, size_t end)
{
	for (size_t page = start / process->page_bytes; page * process->page_bytes < end; page++)
		if (process->pages[page])
			return true;
	return false;
}

/* Adds the units that contain any page of the process. */
static int add_units(struct units *units, const struct process *process, size_t bytes)
{
	size_t run = 0, run_end = 0;
	int error = 0;

	for (size_t at = 0; at < bytes && !error;) {
		size_t end = at + units->unit_bytes < bytes ? at + units->unit_bytes : bytes;

		if (is_own(process, at, end)) {
			run_end = end;
		} else {
			error = units_add(units, process->buffer + run, run_end - run);
			run = run_end = end;
		}
		at = end;
	}
	return error ? error : units_add(units, process->buffer + run, run_end - run);
}

static int read_mapping(struct units *units, struct process *process, const struct mapping *mapping, uint64_t before)
{
	uint64_t at = mapping->start;
	int error = 0;

	while (at < mapping->end && !error) {
		size_t bytes = INTAKE_BUFFER_BYTES;
		size_t pages;

		if (bytes > mapping->end - at)
			bytes = (size_t)(mapping->end - at);
		pages = bytes / process->page_bytes;
		if (find_own_pages(process, mapping, at, pages)) {
			/* Within a unit, everything outside the process's own pages reads as zero. */
			memset(process->buffer, 0, bytes);
			if (!read_runs(process, at, pages)) {
				warn("process %d ended while its memory was read", (int)process->pid);
				return -ESRCH;
			}
			error = add_units(units, process, bytes);
		}
		at += bytes;
		progress_update(before + at - mapping->start);
	}
	return error;
}

static int read_mappings(struct units *units, struct process *process)
{
	uint64_t before = 0;
	int error = 0;

	process->buffer = malloc(INTAKE_BUFFER_BYTES);
	process->pages = calloc(INTAKE_BUFFER_BYTES / process->page_bytes, sizeof(*process->pages));
	if (!process->buffer || !process->pages)
		out_of_memory();
	progress_start("reading, compressing", process->bytes);
	for (size_t i = 0; i < process->count && !error; i++) {
		error = read_mapping(units, process, &process->at[i], before);
		before += process->at[i].end - process->at[i].start;
	}
	progress_end();
	free(process->pages);
	free(process->buffer);
	return error;
}

int intake_process(struct units *units, pid_t pid, struct intake *intake)
{
	struct process process = { .pid = pid, .page_bytes = (size_t)sysconf(_SC_PAGESIZE), .intake = intake };
	int error = 0;

	if (pid == getpid()) {
		warn("process %d is zpoolctl itself, whose memory changes while it is read; give another process",
		     (int)pid);
		return -EINVAL;
	}
	process.memory = open_proc(pid, "mem");
	if (process.memory < 0)
		return refuse(pid, errno);
	process.pagemap = open_proc(pid, "pagemap");
	error = list_mappings(&process);
	if (!error)
		error = read_mappings(units, &process);
	intake->mappings = process.count;
	free(process.at);
	if (process.pagemap >= 0)
		close(process.pagemap);
	close(process.memory);
	return error;
}
