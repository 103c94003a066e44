/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "loader/elf.h"

#include <stdio.h>
#include <stdlib.h>

#include "tests/unit/failing-memory.h"
#include "tests/unit/loader/elf_fixture.h"

static void take_note(const char *text, size_t bytes)
{
	ck_assert_uint_le(bytes, sizeof(image.note.text));
	memset(image.note.text, 0, sizeof(image.note.text));
	memcpy(image.note.text, text, bytes);
	image.note.text_bytes = (uint32_t)bytes;
}

START_TEST(valid_file_has_no_fault_and_its_note_is_read)
{
	make_valid_image();
	examine("");
	ck_assert(report.has_note);
	ck_assert_str_eq(report.type, "mock");
	ck_assert_str_eq(report.version, "2.5");
	ck_assert_str_eq(report.description, "what it is");
	ck_assert_uint_eq(report.abi_major, 1);
	ck_assert_uint_eq(report.abi_minor, 0);
}
END_TEST

START_TEST(own_executable_is_not_a_plugin)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(zp_elf_examine(fd, &report), 0);
	close(fd);
	ck_assert_str_ne(report.fault, "");
	ck_assert(!report.has_note);
}
END_TEST

START_TEST(file_that_cannot_be_read_returns_the_errno)
{
	ck_assert_int_eq(zp_elf_examine(-1, &report), -EBADF);
	int fd = open("/", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(zp_elf_examine(fd, &report), -EISDIR);
	close(fd);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_eq(zp_elf_examine(fd, &report), -EBADF);
	close(fd);
}
END_TEST

static unsigned int interruptions;

ssize_t __real_pread(int fd, void *buf, size_t bytes, off_t offset);
ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset);

/* Every second call is interrupted, and the others read a hundred bytes at most. */
ssize_t __wrap_pread(int fd, void *buf, size_t bytes, off_t offset)
{
	if (interruptions == 0)
		return __real_pread(fd, buf, bytes, offset);
	if (interruptions++ % 2) {
		errno = EINTR;
		return -1;
	}
	return __real_pread(fd, buf, bytes < 100 ? bytes : 100, offset);
}

START_TEST(interrupted_and_short_reads_continue)
{
	make_valid_image();
	interruptions = 1;
	examine("");
	/* On 32-bit machines, the function has another name. */
	if (sizeof(long) == 8)
		ck_assert_uint_gt(interruptions, 10);
	interruptions = 0;
	ck_assert(report.has_note);
	ck_assert_str_eq(report.type, "mock");
	ck_assert_str_eq(report.version, "2.5");
}
END_TEST

START_TEST(file_that_is_not_elf_is_reported)
{
	ck_assert_int_eq(examine_bytes("", 0), 0);
	ck_assert_str_eq(report.fault, "it is not an ELF file");
	ck_assert_int_eq(examine_bytes("#!/bin/sh\n", 10), 0);
	ck_assert_str_eq(report.fault, "it is not an ELF file");
	make_valid_image();
	image.head.e_ident[EI_MAG3] = 'G';
	examine("it is not an ELF file");
}
END_TEST

START_TEST(file_truncated_anywhere_is_read_safely)
{
	make_valid_image();
	for (size_t bytes = 0; bytes < sizeof(image); bytes++) {
		ck_assert_int_eq(examine_bytes(&image, bytes), 0);
		if (bytes < sizeof(image.head))
			ck_assert_str_eq(report.fault, "it is not an ELF file");
		else if (bytes < offsetof(struct image, note))
			ck_assert_str_eq(report.fault, "its section table is damaged");
		else if (bytes < offsetof(struct image, dynamic))
			ck_assert_str_eq(report.fault, "its symbol table is damaged");
	}
}
END_TEST

START_TEST(file_for_another_machine_is_reported)
{
	make_valid_image();
	image.head.e_ident[EI_CLASS] ^= ELFCLASS32 ^ ELFCLASS64;
	examine("it was built for another machine");
	make_valid_image();
	image.head.e_ident[EI_DATA] ^= ELFDATA2LSB ^ ELFDATA2MSB;
	examine("it was built for another machine");
	make_valid_image();
	image.head.e_machine ^= 0x40;
	examine("it was built for another machine");
	/* A complete 32-bit header is shorter than a 64-bit one. */
	Elf32_Ehdr narrow;
	memset(&narrow, 0, sizeof(narrow));
	memcpy(narrow.e_ident, image.head.e_ident, EI_NIDENT);
	narrow.e_ident[EI_CLASS] = ELFCLASS32;
	char file[256] = "";
	memcpy(file, &narrow, sizeof(narrow));
	ck_assert_int_eq(examine_bytes(file, sizeof(file)), 0);
	ck_assert_str_ne(report.fault, "");
}
END_TEST

START_TEST(only_shared_objects_are_accepted)
{
	static const int types[] = { ET_NONE, ET_REL, ET_EXEC, ET_CORE };
	for (size_t i = 0; i < sizeof(types) / sizeof(*types); i++) {
		make_valid_image();
		image.head.e_type = (ElfW(Half))types[i];
		examine("it is an ELF file but not a shared object");
	}
}
END_TEST

START_TEST(file_without_sections_is_accepted)
{
	make_valid_image();
	image.head.e_shnum = 0;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.head.e_shoff = 0;
	examine("");
}
END_TEST

START_TEST(forged_section_table_is_reported)
{
	make_valid_image();
	image.head.e_shentsize--;
	examine("its section table is damaged");
	make_valid_image();
	image.head.e_shoff = sizeof(image) - sizeof(image.sections) + 1;
	examine("its section table is damaged");
	make_valid_image();
	image.head.e_shoff = (ElfW(Off))-8;
	examine("its section table is damaged");
	make_valid_image();
	image.head.e_shnum = 4097;
	examine("it has 4097 sections; at most 4096 are accepted");
	make_valid_image();
	image.head.e_shnum = 4096;
	examine("its section table is damaged");
}
END_TEST

START_TEST(file_without_dynamic_symbols_is_reported)
{
	make_valid_image();
	image.sections[SYMBOLS].sh_type = SHT_SYMTAB;
	examine("it has no dynamic symbols");
}
END_TEST

START_TEST(driver_symbol_must_be_exported)
{
	make_valid_image();
	image.symbols[1].st_name = image.symbols[2].st_name;
	examine("it exports no symbol zpool_driver");
	make_valid_image();
	image.symbols[1].st_name = (uint32_t)sizeof(image.strings);
	examine("it exports no symbol zpool_driver");
	make_valid_image();
	image.sections[SYMBOLS].sh_size = 0;
	examine("it exports no symbol zpool_driver");
	make_valid_image();
	image.sections[SYMBOLS].sh_size -= 1;
	examine("");
}
END_TEST

START_TEST(undefined_library_calls_are_named)
{
	make_valid_image();
	image.symbols[2].st_name = add_string("zpool_malloc");
	examine("it calls zpool_malloc: a plugin must use the host table");
	make_valid_image();
	image.symbols[2].st_name = add_string("zpool_helper_of_its_own");
	image.symbols[2].st_shndx = 9;
	examine("");
	make_valid_image();
	image.symbols[2].st_name = add_string("zpoolish");
	examine("");
}
END_TEST

START_TEST(damaged_symbol_table_is_reported)
{
	make_valid_image();
	image.sections[SYMBOLS].sh_offset = sizeof(image) + 1;
	examine("its symbol table is damaged");
	make_valid_image();
	image.sections[SYMBOLS].sh_size = UINT64_C(65) << 20;
	examine("its symbol table is damaged");
	make_valid_image();
	image.sections[SYMBOLS].sh_link = SECTIONS;
	image.sections[DYNAMIC].sh_type = SHT_NULL;
	examine("its symbol table is damaged");
	make_valid_image();
	image.sections[STRINGS].sh_offset = (ElfW(Off))-1;
	examine("its symbol table is damaged");
	make_valid_image();
	image.sections[STRINGS].sh_size = (ElfW(Xword))-1;
	examine("its symbol table is damaged");
}
END_TEST

START_TEST(string_table_needs_no_nul_at_its_end)
{
	make_valid_image();
	image.sections[STRINGS].sh_size = image.symbols[1].st_name + strlen("zpool_driver");
	examine("");
	image.sections[STRINGS].sh_size--;
	examine("it exports no symbol zpool_driver");
}
END_TEST

START_TEST(link_with_libzpool_is_reported)
{
	make_valid_image();
	image.dynamic[1].d_tag = DT_NEEDED;
	image.dynamic[1].d_un.d_val = add_string("libzpool.so.0");
	examine("it links with libzpool.so.0, which would bring a second driver registry");
	make_valid_image();
	image.dynamic[0].d_un.d_val = add_string("libzpool.so");
	examine("it links with libzpool.so, ");
	make_valid_image();
	image.dynamic[0].d_un.d_val = add_string("libzpool.so.4");
	examine("");
	make_valid_image();
	image.dynamic[0].d_un.d_val = sizeof(image.strings);
	examine("");
	make_valid_image();
	image.dynamic[1].d_tag = DT_SONAME;
	image.dynamic[1].d_un.d_val = add_string("libzpool.so.0");
	examine("");
}
END_TEST

START_TEST(unreadable_dynamic_section_is_ignored)
{
	make_valid_image();
	image.sections[DYNAMIC].sh_offset = sizeof(image) + 1;
	examine("");
	make_valid_image();
	image.sections[DYNAMIC].sh_link = SECTIONS;
	examine("");
}
END_TEST

START_TEST(file_without_a_note_is_accepted)
{
	make_valid_image();
	image.sections[NOTES].sh_type = SHT_PROGBITS;
	examine("");
	ck_assert(!report.has_note);
	ck_assert_str_eq(report.type, "");
}
END_TEST

START_TEST(malformed_notes_are_skipped)
{
	make_valid_image();
	image.note.name_bytes = UINT32_MAX;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.note.text_bytes = UINT32_MAX;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.note.text_bytes = sizeof(image.note.text) + 1;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.note.text_bytes = 0;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.sections[NOTES].sh_size = sizeof(ElfW(Nhdr)) - 1;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.sections[NOTES].sh_size = (64 << 10) + 1;
	examine("");
	ck_assert(!report.has_note);
}
END_TEST

START_TEST(notes_of_other_owners_are_skipped)
{
	make_valid_image();
	image.note.type = ZPOOL_NOTE_TYPE + 1;
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	memcpy(image.note.name, "zpoo1", 6);
	examine("");
	ck_assert(!report.has_note);
	make_valid_image();
	image.note.name_bytes--;
	examine("");
	ck_assert(!report.has_note);
}
END_TEST

START_TEST(note_after_another_one_is_found)
{
	static struct {
		struct image image;
		struct {
			uint32_t name_bytes, text_bytes, type;
			char name[4], text[20];
		} other;
		uint32_t ours[3];
		char name[8], text[64];
	} file;
	make_valid_image();
	file.image = image;
	file.other.name_bytes = 4;
	file.other.text_bytes = 17; /* padded to 20 */
	file.other.type = ZPOOL_NOTE_TYPE;
	memcpy(file.other.name, "GNU", 4);
	memcpy(file.ours, &image.note, sizeof(file.ours));
	memcpy(file.name, image.note.name, sizeof(file.name));
	memcpy(file.text, image.note.text, sizeof(file.text));
	file.image.sections[NOTES].sh_offset = sizeof(image);
	file.image.sections[NOTES].sh_size = sizeof(file) - sizeof(image);
	ck_assert_int_eq(examine_bytes(&file, sizeof(file)), 0);
	ck_assert(report.has_note);
	ck_assert_str_eq(report.type, "mock");
}
END_TEST

START_TEST(note_must_name_our_abi)
{
	make_valid_image();
	take_note("type=mock\0abi=2.1", 18);
	examine("it was built for driver ABI 2, but this library supports ABI 1; rebuild it");
	ck_assert_uint_eq(report.abi_major, 2);
	ck_assert_uint_eq(report.abi_minor, 1);
	make_valid_image();
	take_note("type=mock\0abi=1.99", 19);
	examine("");
	ck_assert_uint_eq(report.abi_minor, 99);
	static const char *const bad[] = { "type=mock", "type=mock\0abi=1", "type=mock\0abi=x.y", "type=mock\0abi=" };
	static const size_t bytes[] = { 10, 16, 18, 15 };
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		make_valid_image();
		take_note(bad[i], bytes[i]);
		examine("its note has no driver ABI version");
		ck_assert_uint_eq(report.abi_major, 0);
	}
}
END_TEST

START_TEST(unterminated_note_is_truncated)
{
	make_valid_image();
	take_note("abi=1.0\0type=mockX", 18);
	examine("");
	ck_assert_str_eq(report.type, "mock");
	ck_assert_str_eq(report.version, "");
	ck_assert_str_eq(report.description, "");
}
END_TEST

START_TEST(long_values_of_a_note_are_truncated)
{
	char text[64];
	make_valid_image();
	memset(text, 'n', sizeof(text));
	memcpy(text, "abi=1.0\0type=", 13);
	take_note(text, sizeof(text));
	examine("");
	ck_assert_uint_eq(strlen(report.type), sizeof(report.type) - 1);
}
END_TEST

START_TEST(first_fault_is_reported)
{
	make_valid_image();
	take_note("type=mock\0abi=7.0", 18);
	image.symbols[2].st_name = add_string("zpool_malloc");
	image.symbols[1].st_name = 0;
	examine("driver ABI 7");
}
END_TEST

START_TEST(lack_of_memory_changes_nothing)
{
	make_valid_image();
	for (unsigned int nth = 1;; nth++) {
		int fd = memfd_create("image", MFD_CLOEXEC);
		ck_assert_int_eq(write(fd, &image, sizeof(image)), sizeof(image));
		memory_fail_at(nth);
		int err = zp_elf_examine(fd, &report);
		bool failed = memory_stop();
		close(fd);
		ck_assert(err == 0 || err == -ENOMEM);
		if (!failed)
			break;
		/*
		 * Running out of memory is not a fault of the file: a fault would be remembered until the file changes.
		 */
		ck_assert_int_eq(err, -ENOMEM);
	}
}
END_TEST

/* For any bytes, nothing outside of the file is read, and every text is terminated. */
START_TEST(random_damage_is_read_safely)
{
	unsigned int seed = unit_seed();
	for (int round = 0; round < 3000; round++) {
		make_valid_image();
		unsigned char *bytes = (unsigned char *)&image;
		int changes = 1 + (int)((unsigned int)rand_r(&seed) % 6);
		for (int i = 0; i < changes; i++) {
			size_t span = rand_r(&seed) % 2 ? offsetof(struct image, note) : sizeof(image);
			bytes[EI_NIDENT + (size_t)rand_r(&seed) % (span - EI_NIDENT)] = (unsigned char)rand_r(&seed);
		}
		ck_assert_int_eq(examine_bytes(&image, sizeof(image)), 0);
		ck_assert_uint_lt(strnlen(report.fault, sizeof(report.fault)), sizeof(report.fault));
		ck_assert_uint_lt(strnlen(report.type, sizeof(report.type)), sizeof(report.type));
		ck_assert_uint_lt(strnlen(report.version, sizeof(report.version)), sizeof(report.version));
		ck_assert_uint_lt(strnlen(report.description, sizeof(report.description)), sizeof(report.description));
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		valid_file_has_no_fault_and_its_note_is_read,
		own_executable_is_not_a_plugin,
		file_that_cannot_be_read_returns_the_errno,
		interrupted_and_short_reads_continue,
		file_that_is_not_elf_is_reported,
		file_truncated_anywhere_is_read_safely,
		file_for_another_machine_is_reported,
		only_shared_objects_are_accepted,
		file_without_sections_is_accepted,
		forged_section_table_is_reported,
		file_without_dynamic_symbols_is_reported,
		driver_symbol_must_be_exported,
		undefined_library_calls_are_named,
		damaged_symbol_table_is_reported,
		string_table_needs_no_nul_at_its_end,
		link_with_libzpool_is_reported,
		unreadable_dynamic_section_is_ignored,
		file_without_a_note_is_accepted,
		malformed_notes_are_skipped,
		notes_of_other_owners_are_skipped,
		note_after_another_one_is_found,
		note_must_name_our_abi,
		unterminated_note_is_truncated,
		long_values_of_a_note_are_truncated,
		first_fault_is_reported,
		lack_of_memory_changes_nothing,
		random_damage_is_read_safely,
	};
	return UNIT_RUN("loader/elf", tests);
}
