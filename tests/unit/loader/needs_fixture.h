/* SPDX-License-Identifier: MIT
 *
 * needs_fixture.h - shared objects in which the entries for the dynamic linker are chosen freely
 */
#ifndef UNIT_LOADER_NEEDS_FIXTURE_H
#define UNIT_LOADER_NEEDS_FIXTURE_H 1

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

enum { MAX_TAGS = 300, MAX_STRINGS = 32 << 10 };

static struct image {
	ElfW(Ehdr) head;
	ElfW(Phdr) segments[2];
	ElfW(Dyn) dynamic[MAX_TAGS];
	char strings[MAX_STRINGS];
} image;
static size_t tag_count, string_bytes;

static void forge_begin(void)
{
	ElfW(Ehdr) own;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, &own, sizeof(own)), sizeof(own));
	close(fd);
	memset(&image, 0, sizeof(image));
	memcpy(image.head.e_ident, own.e_ident, EI_NIDENT);
	image.head.e_machine = own.e_machine;
	image.head.e_type = ET_DYN;
	image.head.e_phoff = offsetof(struct image, segments);
	image.head.e_phentsize = sizeof(image.segments[0]);
	image.head.e_phnum = 2;
	image.segments[0].p_type = PT_LOAD;
	image.segments[0].p_vaddr = 0x1000;
	image.segments[0].p_filesz = sizeof(image);
	image.segments[1].p_type = PT_DYNAMIC;
	image.segments[1].p_offset = offsetof(struct image, dynamic);
	image.segments[1].p_filesz = sizeof(image.dynamic);
	image.dynamic[0].d_tag = DT_STRTAB;
	image.dynamic[0].d_un.d_ptr = 0x1000 + offsetof(struct image, strings);
	tag_count = 1;
	string_bytes = 1;
}

static void add_tag(long tag, const char *text)
{
	ck_assert_uint_lt(tag_count + 1, MAX_TAGS);
	ck_assert_uint_lt(string_bytes + strlen(text) + 1, MAX_STRINGS);
	image.dynamic[tag_count].d_tag = tag;
	image.dynamic[tag_count++].d_un.d_val = string_bytes;
	strcpy(image.strings + string_bytes, text);
	string_bytes += strlen(text) + 1;
}

static void forge_end(const char *entry, mode_t mode)
{
	scratch_file(entry, mode, &image, offsetof(struct image, strings) + string_bytes);
}

/* Writes a shared object with these pairs of a tag and a text; the last tag is 0. */
static void forge(const char *entry, ...)
{
	va_list args;
	long tag;
	forge_begin();
	va_start(args, entry);
	while ((tag = va_arg(args, int)) != 0)
		add_tag(tag, va_arg(args, const char *));
	va_end(args);
	forge_end(entry, 0644);
}

#endif
