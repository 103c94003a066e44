/* SPDX-License-Identifier: MIT
 *
 * elf.c - plugin files that were tampered with, read by everything that reads them
 *
 * main.c generates shared objects with a few changed fields, truncated or badly composed files, and random bytes.
 */
#include "config.h"

#include "fuzz.h"

#include <elf.h>
#include <errno.h>
#include <glob.h>
#include <limits.h>
#include <link.h>
#include <sys/mman.h>
#include <unistd.h>

#include "loader/dynamic.h"
#include "loader/elf.h"
#include "loader/needs.h"

#include "../../conformance/module.h"

static void check_text(const char *text, size_t room)
{
	fuzz_assert(memchr(text, '\0', room) != NULL);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The readers
 */

static void check_report(int fd)
{
	struct zp_elf_report report, again;

	memset(&report, 0xee, sizeof(report));
	memset(&again, 0x11, sizeof(again));
	fuzz_assert(zp_elf_examine(fd, &report) == 0);
	fuzz_assert(zp_elf_examine(fd, &again) == 0);
	check_text(report.type, sizeof(report.type));
	check_text(report.version, sizeof(report.version));
	check_text(report.description, sizeof(report.description));
	check_text(report.fault, sizeof(report.fault));
	fuzz_assert(report.has_note || (!report.type[0] && !report.version[0] && !report.description[0]));
	fuzz_assert(report.bytes_read <= ZP_ELF_BUDGET_BYTES && report.bytes_read == again.bytes_read);
	/* The report must depend on the file only, and not on previous contents of memory. */
	fuzz_assert(strcmp(report.fault, again.fault) == 0);
	fuzz_assert(strcmp(report.type, again.type) == 0 && strcmp(report.version, again.version) == 0);
	fuzz_assert(report.has_note == again.has_note && report.abi_major == again.abi_major);
}

static void check_dynamic(int fd)
{
	struct zp_dynamic dynamic;
	int err = zp_dynamic_read(fd, &dynamic);

	fuzz_check(err == 0 || err == -E2BIG, "%d", err);
	fuzz_assert(dynamic.count <= ZP_DYNAMIC_MAX_NAMES && dynamic.bytes_read <= 5u << 19);
	for (size_t i = 0; i < dynamic.count; i++)
		fuzz_assert(strlen(dynamic.names[i].text) <= ZP_DYNAMIC_MAX_NAME_BYTES);
	zp_dynamic_clear(&dynamic);
}

/* The directories and libraries that the file names are looked up on this machine, but nothing is run. */
static void check_needs(int fd)
{
	static char why[PATH_MAX + 160];
	struct zp_trust trust;
	uint64_t bytes_read = 0;
	int err;

	zp_trust_self(&trust);
	why[0] = '\0';
	err = zp_needs_judge(&trust, fd, "/usr/lib/fuzz.so", "/usr/lib/fuzz.so", &bytes_read, why, sizeof(why));
	check_text(why, sizeof(why));
	fuzz_check(err == 0 || (err < 0 && why[0]), "%d: %s", err, why);
}

static void take_name(const char *name, void *user)
{
	*(size_t *)user += strlen(name);
}

/* The conformance suite reads the symbols of the plugin that it tests. */
static void check_module(int fd)
{
	struct ct_module module;
	size_t length = 0;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (!ct_module_open(&module, path)) {
		ct_module_symbols(&module, true, take_name, &length);
		ct_module_symbols(&module, false, take_name, &length);
		ct_module_needed(&module, take_name, &length);
		(void)ct_module_binds_now(&module);
	}
	ct_module_close(&module);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz", MFD_CLOEXEC);

	fuzz_assert(fd >= 0 && write(fd, data, size) == (ssize_t)size);
	check_report(fd);
	check_dynamic(fd);
	check_needs(fd);
	check_module(fd);
	close(fd);
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Valid files to start from
 */

enum { MAX_SEEDS = 12 };
static struct seed {
	uint8_t *bytes;
	size_t size;
} seeds[MAX_SEEDS];
static size_t seed_count;

static void add_seed(const char *path)
{
	FILE *file = fopen(path, "rbe");
	uint8_t *bytes = file ? malloc(FUZZ_MAX_BYTES) : NULL;
	if (bytes) {
		seeds[seed_count].bytes = bytes;
		seeds[seed_count].size = fread(bytes, 1, FUZZ_MAX_BYTES, file);
		seed_count++;
	}
	if (file)
		fclose(file);
}

/*
 * The plugins of this build; without shared libraries, this program itself, an ELF file that also has dynamic symbols.
 */
static void find_seeds(void)
{
	static const char *const patterns[] = { "plugins/.libs/*.so", "tests/loader/mocks/.libs/good.so",
						"tests/loader/mocks/.libs/no_note.so" };
	const char *dir = getenv("abs_top_builddir");
	char pattern[4096];

	for (size_t p = 0; p < sizeof(patterns) / sizeof(*patterns); p++) {
		glob_t found = { 0 };
		(void)snprintf(pattern, sizeof(pattern), "%s/%s", dir ? dir : ".", patterns[p]);
		if (glob(pattern, 0, NULL, &found) == 0)
			for (size_t i = 0; i < found.gl_pathc && seed_count < MAX_SEEDS; i++)
				add_seed(found.gl_pathv[i]);
		globfree(&found);
	}
	if (!seed_count)
		add_seed("/proc/self/exe");
}

/* ------------------------------------------------------------------------------------------------------------------
 * Tampering
 */

/* Numbers at which computations of sizes and offsets go wrong. */
static uint64_t awkward_number(size_t size)
{
	static const uint64_t numbers[] = { 0,
					    1,
					    2,
					    3,
					    7,
					    0xff,
					    0xffff,
					    0x7fffffff,
					    0x80000000,
					    0xffffffff,
					    UINT64_MAX,
					    INT64_MAX,
					    INT64_MAX + UINT64_C(1),
					    UINT64_MAX - 7,
					    0x1000,
					    64u << 20,
					    64u << 10,
					    4096,
					    4097 };
	switch (fuzz_below(4)) {
	case 0:
		return fuzz_random();
	case 1:
		return size - fuzz_below(64);
	case 2:
		return fuzz_below(size + 64);
	default:
		return numbers[fuzz_below(sizeof(numbers) / sizeof(*numbers))];
	}
}

static void put_number(uint8_t *buf, size_t size, size_t offset)
{
	size_t width = (size_t)1 << fuzz_below(4);
	uint64_t number = awkward_number(size);
	if (offset < size)
		memcpy(buf + offset, &number, width < size - offset ? width : size - offset);
}

/*
 * Returns an offset where a change has consequences: in the ELF header, in a section header, or at the beginning of a
 * section.
 */
static size_t tender_offset(const uint8_t *buf, size_t size)
{
	ElfW(Ehdr) head;
	ElfW(Shdr) section;
	size_t kind = fuzz_below(8);

	if (kind == 0 || size < sizeof(head))
		return fuzz_below(size);
	if (kind == 1)
		return fuzz_below(sizeof(head));
	memcpy(&head, buf, sizeof(head));
	if (head.e_shnum == 0 || head.e_shoff > size)
		return fuzz_below(size);
	size_t at = head.e_shoff + fuzz_below(head.e_shnum) * sizeof(section);
	if (kind < 5 || at + sizeof(section) > size)
		return at + fuzz_below(sizeof(section));
	memcpy(&section, buf + at, sizeof(section));
	return section.sh_offset + fuzz_below((size_t)(section.sh_size < 256 ? section.sh_size + 1 : 256));
}

static size_t tamper(uint8_t *buf, size_t size)
{
	switch (fuzz_below(8)) {
	case 0:
		return fuzz_below(size) + 1;
	case 1: {
		size_t from = fuzz_below(size), to = fuzz_below(size), length = fuzz_below(512);
		if (from + length <= size && to + length <= size)
			memmove(buf + to, buf + from, length);
		return size;
	}
	case 2:
		buf[fuzz_below(size)] ^= (uint8_t)(1u << fuzz_below(8));
		return size;
	default:
		put_number(buf, size, tender_offset(buf, size));
		return size;
	}
}

static size_t make_noise(uint8_t *buf)
{
	size_t size = fuzz_below(2048);
	for (size_t i = 0; i < size; i++)
		buf[i] = (uint8_t)fuzz_random();
	if (fuzz_below(2) && size >= EI_NIDENT)
		memcpy(buf, seeds[0].bytes, EI_NIDENT);
	return size;
}

static size_t make_file(uint8_t *buf)
{
	if (fuzz_below(16) == 0)
		return make_noise(buf);
	const struct seed *seed = &seeds[fuzz_below(seed_count)];
	size_t size = seed->size;
	memcpy(buf, seed->bytes, size);
	for (size_t changes = 1 + fuzz_below(6); changes && size; changes--)
		size = tamper(buf, size);
	return size;
}

static void start(void)
{
	find_seeds();
	fuzz_assert(seed_count && seeds[0].size >= EI_NIDENT);
}

const struct fuzz_target fuzz_target = { .name = "elf", .runs = 1500, .start = start, .generate = make_file };
