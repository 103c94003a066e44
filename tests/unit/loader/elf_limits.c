/* SPDX-License-Identifier: MIT
 *
 * The limits of what is read of a file, however large its tables claim to be.
 */
#include "config.h"

#include <sys/resource.h>

#include "tests/unit/loader/elf_fixture.h"

/* Makes a sparse file, which uses little space on the disk: the image, followed by a hole up to `bytes`. */
static void examine_sparse(off_t bytes, const ElfW(Shdr) *sections, size_t count, const char *fault)
{
	int fd = memfd_create("image", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, &image, sizeof(image)), sizeof(image));
	if (count)
		ck_assert_int_eq(write(fd, sections, count * sizeof(*sections)), (ssize_t)(count * sizeof(*sections)));
	ck_assert_int_eq(ftruncate(fd, bytes), 0);
	memset(&report, 0xff, sizeof(report));
	ck_assert_int_eq(zp_elf_examine(fd, &report), 0);
	close(fd);
	ck_assert_uint_le(report.bytes_read, ZP_ELF_BUDGET_BYTES);
	assert_contains(report.fault, fault);
}

static const off_t sparse_bytes = (off_t)1 << 40;
static const uint64_t most = ZP_ELF_BUDGET_BYTES;

START_TEST(valid_file_is_read_once)
{
	make_valid_image();
	examine("");
	ck_assert_uint_gt(report.bytes_read, 0);
	ck_assert_uint_le(report.bytes_read, sizeof(image));
}
END_TEST

START_TEST(tables_that_exceed_the_read_limit_are_refused)
{
	static const int tables[] = { SYMBOLS, STRINGS };
	for (size_t i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		make_valid_image();
		image.sections[tables[i]].sh_size = most;
		examine_sparse(sparse_bytes, NULL, 0, "its tables have more than 8388608 bytes");
		make_valid_image();
		image.sections[tables[i]].sh_size = sparse_bytes - (off_t)sizeof(image);
		examine_sparse(sparse_bytes, NULL, 0, "its tables have more than 8388608 bytes");
	}
	/* The dynamic entries are read only if the strings contain the name of libzpool. */
	make_valid_image();
	(void)add_string("libzpool.so");
	image.sections[DYNAMIC].sh_size = most;
	examine_sparse(sparse_bytes, NULL, 0, "its tables have more than 8388608 bytes");
}
END_TEST

START_TEST(tables_share_the_read_limit_of_a_file)
{
	make_valid_image();
	image.sections[SYMBOLS].sh_size = most / 4 * 3;
	image.sections[STRINGS].sh_size = most / 4;
	examine_sparse(sparse_bytes, NULL, 0, "its tables have more than 8388608 bytes");
}
END_TEST

START_TEST(file_has_one_table_of_each_kind)
{
	make_valid_image();
	image.sections[0] = image.sections[SYMBOLS];
	examine("it has more than one table of dynamic symbols");
	make_valid_image();
	image.sections[0] = image.sections[DYNAMIC];
	examine("it has more than one dynamic section");
}
END_TEST

/* Each section alone is within the limit, but together they have 256 MiB, or two large tables alternate. */
START_TEST(many_sections_do_not_multiply_the_bytes_read)
{
	static ElfW(Shdr) sections[4096];
	static const uint32_t types[] = { SHT_NOTE, SHT_DYNSYM, SHT_DYNAMIC };
	static const char *const faults[] = { "its tables have more than 8388608 bytes",
					      "it has more than one table of dynamic symbols",
					      "it has more than one dynamic section" };
	for (size_t kind = 0; kind < 3; kind++) {
		make_valid_image();
		for (size_t i = 0; i < 4096; i++) {
			sections[i].sh_type = types[kind];
			sections[i].sh_offset = 1 << 20;
			sections[i].sh_size = 64 << 10;
			sections[i].sh_link = i % 2;
		}
		image.head.e_shoff = sizeof(image);
		image.head.e_shnum = 4096;
		examine_sparse(sparse_bytes, sections, 4096, faults[kind]);
	}
}
END_TEST

START_TEST(number_of_program_headers_is_limited)
{
	make_valid_image();
	image.head.e_phnum = 128;
	examine("");
	image.head.e_phnum = 129;
	examine("it has 129 program headers; at most 128 are accepted");
	make_valid_image();
	image.head.e_phnum = 0xffff;
	examine("it has 65535 program headers; at most 128 are accepted");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		valid_file_is_read_once,
		tables_that_exceed_the_read_limit_are_refused,
		tables_share_the_read_limit_of_a_file,
		file_has_one_table_of_each_kind,
		many_sections_do_not_multiply_the_bytes_read,
		number_of_program_headers_is_limited,
	};
	struct rlimit limit;

	/* The files are larger than a disk, but have no blocks. */
	if (getrlimit(RLIMIT_FSIZE, &limit) == 0) {
		limit.rlim_cur = limit.rlim_max;
		(void)setrlimit(RLIMIT_FSIZE, &limit);
	}
	return UNIT_RUN("loader/elf_limits", tests);
}
