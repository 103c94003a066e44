/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/dynamic.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "loader/read.h"

/* Far more names than any real library has. */
enum { MAX_SEGMENTS = 512, MAX_ENTRIES = 8192 };

/* Two tags that glibc does not define, or only with _GNU_SOURCE; the numbers are those of System V and Sun. */
#ifndef DT_AUXILIARY
#define DT_AUXILIARY 0x7ffffffd
#endif
#ifndef DT_FILTER
#define DT_FILTER 0x7fffffff
#endif
#ifndef DT_DEPAUDIT
#define DT_DEPAUDIT 0x6ffffefb
#endif
#ifndef DT_AUDIT
#define DT_AUDIT 0x6ffffefc
#endif

struct reader {
	int fd;
	size_t segment_count;
	ElfW(Phdr) *segments;
	size_t entry_count;
	ElfW(Dyn) *entries;
	uint64_t strings_offset;
	uint64_t bytes_read;
	char *text; /* ZP_DYNAMIC_MAX_NAME_BYTES, which is too large for the stack of a small thread */
};

static ssize_t read_up_to(struct reader *reader, void *to, size_t bytes, uint64_t offset)
{
	ssize_t done = zp_read_at(reader->fd, to, bytes, offset);

	if (done > 0)
		reader->bytes_read += (uint64_t)done;
	return done;
}

/* Copies a table of the file to the heap, with as many whole items as the file has. Returns 0 or -errno. */
static int read_table(struct reader *reader, uint64_t offset, size_t item_bytes, size_t *count, void **table)
{
	*table = malloc(*count * item_bytes + 1);
	if (!*table)
		return -ENOMEM;
	ssize_t bytes = read_up_to(reader, *table, *count * item_bytes, offset);
	if (bytes < 0)
		return (int)bytes;
	*count = (size_t)bytes / item_bytes;
	return 0;
}

/* Returns -ENOEXEC if the linker will refuse the file. */
static int read_segments(struct reader *reader)
{
	ElfW(Ehdr) head;
	ssize_t bytes = read_up_to(reader, &head, sizeof(head), 0);
	if (bytes < 0)
		return (int)bytes;
	if (bytes != sizeof(head) || memcmp(head.e_ident, ELFMAG, SELFMAG) != 0 ||
	    head.e_ident[EI_CLASS] != (UINTPTR_MAX > UINT32_MAX ? ELFCLASS64 : ELFCLASS32) ||
	    head.e_ident[EI_DATA] != (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? ELFDATA2LSB : ELFDATA2MSB) ||
	    head.e_phentsize != sizeof(ElfW(Phdr)))
		return -ENOEXEC;
	if (head.e_phnum > MAX_SEGMENTS)
		return -E2BIG;
	reader->segment_count = head.e_phnum;
	void *table;
	int err = read_table(reader, head.e_phoff, sizeof(*reader->segments), &reader->segment_count, &table);
	reader->segments = table;
	return err;
}

static int read_entries(struct reader *reader)
{
	for (size_t i = 0; i < reader->segment_count; i++) {
		const ElfW(Phdr) *segment = &reader->segments[i];
		if (segment->p_type != PT_DYNAMIC || reader->entries)
			continue;
		void *table;
		uint64_t count = segment->p_filesz / sizeof(*reader->entries);
		if (count > MAX_ENTRIES)
			return -E2BIG;
		reader->entry_count = (size_t)count;
		int err = read_table(reader, segment->p_offset, sizeof(*reader->entries), &reader->entry_count, &table);
		reader->entries = table;
		if (err)
			return err;
	}
	for (size_t i = 0; i < reader->entry_count; i++)
		if (reader->entries[i].d_tag == DT_NULL)
			reader->entry_count = i;
	return reader->entries ? 0 : -ENOEXEC;
}

/* Returns the file offset of the strings. The dynamic entry has only their address in memory. */
static int find_strings(struct reader *reader)
{
	uint64_t address = 0;
	for (size_t i = 0; i < reader->entry_count; i++)
		if (reader->entries[i].d_tag == DT_STRTAB)
			address = reader->entries[i].d_un.d_ptr;
	for (size_t i = 0; i < reader->segment_count; i++) {
		const ElfW(Phdr) *segment = &reader->segments[i];
		if (segment->p_type == PT_LOAD && address >= segment->p_vaddr &&
		    address - segment->p_vaddr < segment->p_filesz) {
			reader->strings_offset = segment->p_offset + (address - segment->p_vaddr);
			return 0;
		}
	}
	return -ENOEXEC;
}

static bool find_kind(const ElfW(Dyn) *entry, enum zp_dynamic_kind *kind)
{
	switch (entry->d_tag) {
	case DT_NEEDED:
	case DT_FILTER:
	case DT_AUXILIARY:
		*kind = ZP_DYNAMIC_LIBRARY;
		return true;
	case DT_AUDIT:
	case DT_DEPAUDIT:
		*kind = ZP_DYNAMIC_LIBRARIES;
		return true;
	case DT_RPATH:
		*kind = ZP_DYNAMIC_RPATH;
		return true;
	case DT_RUNPATH:
		*kind = ZP_DYNAMIC_RUN_PATH;
		return true;
	default:
		return false;
	}
}

/*
 * Returns 1 if the name was read; 0 if the file ends inside the name, which the linker will treat as damage; or -errno.
 */
static int take_name(struct reader *reader, uint64_t at, struct zp_dynamic_name *name)
{
	/* Most names are short, so the first read usually finds the end. */
	for (size_t wanted_bytes = 256; wanted_bytes <= ZP_DYNAMIC_MAX_NAME_BYTES; wanted_bytes *= 2) {
		ssize_t bytes = read_up_to(reader, reader->text, wanted_bytes, reader->strings_offset + at);
		if (bytes < 0)
			return (int)bytes;
		if (strnlen(reader->text, (size_t)bytes) < (size_t)bytes) {
			name->text = strdup(reader->text);
			return name->text ? 1 : -ENOMEM;
		}
		if ((size_t)bytes < wanted_bytes)
			return 0;
	}
	return -E2BIG;
}

static int take_names(struct reader *reader, struct zp_dynamic *dynamic)
{
	enum zp_dynamic_kind kind;
	size_t wanted = 0;

	for (size_t i = 0; i < reader->entry_count; i++)
		wanted += find_kind(&reader->entries[i], &kind);
	if (wanted > ZP_DYNAMIC_MAX_NAMES)
		return -E2BIG;
	dynamic->names = calloc(wanted + 1, sizeof(*dynamic->names));
	reader->text = malloc(ZP_DYNAMIC_MAX_NAME_BYTES);
	if (!dynamic->names || !reader->text)
		return -ENOMEM;
	for (size_t i = 0; i < reader->entry_count; i++) {
		if (!find_kind(&reader->entries[i], &kind))
			continue;
		struct zp_dynamic_name *name = &dynamic->names[dynamic->count];
		int taken = take_name(reader, reader->entries[i].d_un.d_val, name);
		if (taken < 0)
			return taken;
		name->kind = kind;
		dynamic->count += (size_t)taken;
	}
	return 0;
}

int zp_dynamic_read(int fd, struct zp_dynamic *dynamic)
{
	struct reader reader = { .fd = fd };

	*dynamic = (struct zp_dynamic){ 0 };
	int err = read_segments(&reader);
	if (!err)
		err = read_entries(&reader);
	if (!err)
		err = find_strings(&reader);
	if (!err)
		err = take_names(&reader, dynamic);
	free(reader.segments);
	free(reader.entries);
	free(reader.text);
	if (err)
		zp_dynamic_clear(dynamic);
	dynamic->bytes_read = reader.bytes_read;
	return err == -ENOEXEC ? 0 : err;
}

void zp_dynamic_clear(struct zp_dynamic *dynamic)
{
	for (size_t i = 0; i < dynamic->count; i++)
		free(dynamic->names[i].text);
	free(dynamic->names);
	*dynamic = (struct zp_dynamic){ 0 };
}
