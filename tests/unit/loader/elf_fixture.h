/* SPDX-License-Identifier: MIT
 *
 * elf_fixture.h - a plugin's file that is built in memory; it is valid at first, so each test can damage one part of it
 */
#ifndef ELF_FIXTURE_H
#define ELF_FIXTURE_H 1

#include "loader/elf.h"

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/run.h"
#include "zpool-driver.h"

enum { NOTES = 1, SYMBOLS, STRINGS, DYNAMIC, SECTIONS };

#define NOTE_TEXT "type=mock\0abi=1.0\0version=2.5\0description=what it is"

static struct image {
	ElfW(Ehdr) head;
	ElfW(Shdr) sections[SECTIONS];
	struct {
		uint32_t name_bytes, text_bytes, type;
		char name[8], text[64];
	} note;
	ElfW(Sym) symbols[3];
	ElfW(Dyn) dynamic[3];
	char strings[96];
} image;

static struct zp_elf_report report;

static uint32_t add_string(const char *text)
{
	static size_t at;
	if (!*text)
		at = 1;
	uint32_t offset = (uint32_t)at;
	ck_assert_uint_lt(at + strlen(text), sizeof(image.strings));
	strcpy(image.strings + at, text);
	at += strlen(text) + 1;
	return offset;
}

static void set_section(int index, uint32_t type, size_t offset, size_t bytes)
{
	image.sections[index].sh_type = type;
	image.sections[index].sh_offset = offset;
	image.sections[index].sh_size = bytes;
	image.sections[index].sh_link = STRINGS;
}

/* The machine number of this program is also the plugin's. */
static void take_machine(void)
{
	ElfW(Ehdr) own;
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(read(fd, &own, sizeof(own)), sizeof(own));
	close(fd);
	memcpy(image.head.e_ident, own.e_ident, EI_NIDENT);
	image.head.e_machine = own.e_machine;
}

static void make_valid_image(void)
{
	memset(&image, 0, sizeof(image));
	take_machine();
	image.head.e_type = ET_DYN;
	image.head.e_shoff = offsetof(struct image, sections);
	image.head.e_shentsize = sizeof(image.sections[0]);
	image.head.e_shnum = SECTIONS;
	set_section(NOTES, SHT_NOTE, offsetof(struct image, note), sizeof(image.note));
	set_section(SYMBOLS, SHT_DYNSYM, offsetof(struct image, symbols), sizeof(image.symbols));
	set_section(STRINGS, SHT_STRTAB, offsetof(struct image, strings), sizeof(image.strings));
	set_section(DYNAMIC, SHT_DYNAMIC, offsetof(struct image, dynamic), sizeof(image.dynamic));
	image.note.name_bytes = sizeof(ZPOOL_NOTE_OWNER);
	image.note.text_bytes = sizeof(NOTE_TEXT);
	image.note.type = ZPOOL_NOTE_TYPE;
	memcpy(image.note.name, ZPOOL_NOTE_OWNER, sizeof(ZPOOL_NOTE_OWNER));
	memcpy(image.note.text, NOTE_TEXT, sizeof(NOTE_TEXT));
	(void)add_string("");
	image.symbols[1].st_name = add_string("zpool_driver");
	image.symbols[1].st_shndx = 9;
	image.symbols[2].st_name = add_string("malloc");
	image.dynamic[0].d_tag = DT_NEEDED;
	image.dynamic[0].d_un.d_val = add_string("libc.so.6");
}

static int examine_bytes(const void *bytes, size_t count)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, bytes, count), (ssize_t)count);
	memset(&report, 0xff, sizeof(report));
	int err = zp_elf_examine(fd, &report);
	close(fd);
	return err;
}

static void examine(const char *fault)
{
	ck_assert_int_eq(examine_bytes(&image, sizeof(image)), 0);
	if (*fault)
		assert_contains(report.fault, fault);
	else
		ck_assert_str_eq(report.fault, "");
}

#endif
