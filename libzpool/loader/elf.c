/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "loader/elf.h"

#include <elf.h>
#include <errno.h>
#include <link.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "loader/read.h"
#include "zpool-driver.h"

/*
 * Limits far above what real plugins need. A forged header can name large ranges many times over, in a sparse file that
 * takes no space on disk, so ZP_ELF_BUDGET_BYTES bounds what is read for all of them together. The number of program
 * headers has a limit too, because the system's linker copies them to its stack.
 */
#define MAX_SECTIONS 4096u
#define MAX_PROGRAM_HEADERS 128u
#define MAX_NOTE_BYTES (64u << 10)

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NATIVE_DATA ELFDATA2LSB
#else
#define NATIVE_DATA ELFDATA2MSB
#endif
#if UINTPTR_MAX > UINT32_MAX
#define NATIVE_CLASS ELFCLASS64
#else
#define NATIVE_CLASS ELFCLASS32
#endif

/*
 * The beginning of a file, where the linker puts notes, symbols and names. Reading it in one call saves a call for each
 * of them.
 */
#define WINDOW_BYTES 4096

struct elf_file {
	int fd;
	int err; /* the error that prevented reading, which is not the fault of the file's content; 0: none */
	uint64_t bytes;
	ElfW(Ehdr) head;
	ElfW(Shdr) *sections;
	unsigned int strings_index; /* the section of which `strings` is a copy */
	uint64_t strings_bytes;
	char *strings;
	struct zp_elf_report *report;
	size_t window_bytes;
	char window[WINDOW_BYTES];
};

__attribute__((format(printf, 2, 3))) static void fault(struct elf_file *file, const char *format, ...)
{
	va_list args;
	if (file->report->fault[0])
		return;
	va_start(args, format);
	(void)vsnprintf(file->report->fault, sizeof(file->report->fault), format, args);
	va_end(args);
}

/* Takes `bytes` from the budget of this file. Returns false and sets a fault if the budget is exhausted. */
static bool charge(struct elf_file *file, uint64_t bytes)
{
	if (bytes > ZP_ELF_BUDGET_BYTES - file->report->bytes_read) {
		fault(file, "its tables have more than %u bytes, the limit for a plugin's file", ZP_ELF_BUDGET_BYTES);
		return false;
	}
	file->report->bytes_read += bytes;
	return true;
}

/*
 * Returns a copy of a range of the file, followed by a NUL. Returns NULL if the range lies outside the file or exceeds
 * the budget, or if reading failed, in which case err is set.
 */
static void *read_range(struct elf_file *file, uint64_t offset, uint64_t bytes)
{
	bool in_window = offset <= file->window_bytes && bytes <= file->window_bytes - offset;
	if (offset > file->bytes || bytes > file->bytes - offset || (!in_window && !charge(file, bytes)))
		return NULL;
	char *copy = malloc((size_t)bytes + 1);
	if (!copy) {
		file->err = -ENOMEM;
		return NULL;
	}
	copy[bytes] = '\0';
	if (in_window) {
		memcpy(copy, file->window + offset, (size_t)bytes);
		return copy;
	}
	ssize_t done = zp_read_at(file->fd, copy, (size_t)bytes, offset);
	if (done == (ssize_t)bytes)
		return copy;
	free(copy);
	/* A file that became shorter while it was read counts as damaged. */
	file->err = done < 0 ? (int)done : 0;
	return NULL;
}

/* EM_NONE if the machine's number is unknown here; the linker then decides. */
static ElfW(Half) native_machine(void)
{
#if defined(__x86_64__)
	return EM_X86_64;
#elif defined(__i386__)
	return EM_386;
#elif defined(__aarch64__)
	return EM_AARCH64;
#elif defined(__arm__)
	return EM_ARM;
#elif defined(__riscv)
	return EM_RISCV;
#elif defined(__powerpc64__)
	return EM_PPC64;
#elif defined(__s390x__)
	return EM_S390;
#else
	return EM_NONE;
#endif
}

static bool head_is_ours(struct elf_file *file)
{
	const ElfW(Ehdr) *head = &file->head;
	ElfW(Half) machine = native_machine();

	if (file->bytes < sizeof(*head) || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0)
		fault(file, "it is not an ELF file");
	else if (head->e_ident[EI_CLASS] != NATIVE_CLASS || head->e_ident[EI_DATA] != NATIVE_DATA ||
		 (machine != EM_NONE && head->e_machine != machine))
		fault(file, "it was built for another machine");
	else if (head->e_type != ET_DYN)
		fault(file, "it is an ELF file but not a shared object");
	return !file->report->fault[0];
}

/* Returns the value of "key=" among the NUL-separated strings of a note, or "" if the key is absent. */
static const char *note_value(const char *text, size_t bytes, const char *key)
{
	size_t key_length = strlen(key);
	for (const char *end = text + bytes; text < end; text += strlen(text) + 1)
		if (strncmp(text, key, key_length) == 0)
			return text + key_length;
	return "";
}

static void take_text(char *to, size_t bytes, const char *from)
{
	size_t length = strnlen(from, bytes - 1);
	memcpy(to, from, length);
	to[length] = '\0';
}

/* Accepts "major.minor" and nothing else. */
static bool take_abi(struct zp_elf_report *report, const char *text)
{
	char *dot, *end;
	if (text[0] < '0' || text[0] > '9')
		return false;
	unsigned long major = strtoul(text, &dot, 10);
	if (dot[0] != '.' || dot[1] < '0' || dot[1] > '9')
		return false;
	unsigned long minor = strtoul(dot + 1, &end, 10);
	if (*end || major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	report->abi_major = (uint32_t)major;
	report->abi_minor = (uint32_t)minor;
	return true;
}

static void take_note(struct elf_file *file, const char *text, size_t bytes)
{
	struct zp_elf_report *report = file->report;
	report->has_note = true;
	take_text(report->type, sizeof(report->type), note_value(text, bytes, "type="));
	take_text(report->version, sizeof(report->version), note_value(text, bytes, "version="));
	take_text(report->description, sizeof(report->description), note_value(text, bytes, "description="));
	if (!take_abi(report, note_value(text, bytes, "abi=")))
		fault(file, "its note has no driver ABI version");
	else if (report->abi_major != ZPOOL_ABI_MAJOR)
		fault(file, "it was built for driver ABI %u, but this library supports ABI %d; rebuild it",
		      report->abi_major, ZPOOL_ABI_MAJOR);
}

/* A note section is a sequence of notes, each with three words, a name and a text that are padded to four bytes. */
static void examine_notes(struct elf_file *file, const ElfW(Shdr) *section)
{
	/* Notes of other tools, such as SystemTap, can be large; libzpool's notes never are. */
	char *notes = section->sh_size > MAX_NOTE_BYTES ? NULL : read_range(file, section->sh_offset, section->sh_size);
	if (!notes)
		return;
	uint64_t at = 0, end = section->sh_size;
	while (!file->report->has_note && end - at >= sizeof(ElfW(Nhdr))) {
		ElfW(Nhdr) head;
		memcpy(&head, notes + at, sizeof(head));
		at += sizeof(head);
		uint64_t name_bytes = ((uint64_t)head.n_namesz + 3) & ~UINT64_C(3);
		uint64_t text_bytes = ((uint64_t)head.n_descsz + 3) & ~UINT64_C(3);
		if (name_bytes > end - at || text_bytes > end - at - name_bytes)
			break;
		char *text = notes + at + name_bytes;
		if (head.n_type == ZPOOL_NOTE_TYPE && head.n_namesz == sizeof(ZPOOL_NOTE_OWNER) &&
		    memcmp(notes + at, ZPOOL_NOTE_OWNER, sizeof(ZPOOL_NOTE_OWNER)) == 0 && head.n_descsz > 0) {
			text[head.n_descsz - 1] = '\0';
			take_note(file, text, head.n_descsz);
		}
		at += name_bytes + text_bytes;
	}
	free(notes);
}

/* Reads the string table of a section. Symbols and dynamic entries share the same table. */
static bool read_strings(struct elf_file *file, const ElfW(Shdr) *section)
{
	if (section->sh_link >= file->head.e_shnum)
		return false;
	if (file->strings && file->strings_index == section->sh_link)
		return true;
	const ElfW(Shdr) *strings = &file->sections[section->sh_link];
	free(file->strings);
	file->strings_index = section->sh_link;
	file->strings_bytes = strings->sh_size;
	file->strings = read_range(file, strings->sh_offset, strings->sh_size);
	return file->strings != NULL;
}

/* Returns NULL for an offset outside the table. */
static const char *string_at(const struct elf_file *file, uint64_t offset)
{
	return offset < file->strings_bytes ? file->strings + offset : NULL;
}

/* Reads the numbers in the driver's structure, which are the same in the file as in memory. */
static void examine_driver(struct elf_file *file, const ElfW(Sym) *symbol)
{
	const size_t bytes = offsetof(struct zpool_driver, alignment_bytes);
	const ElfW(Shdr) *section = symbol->st_shndx < file->head.e_shnum ? &file->sections[symbol->st_shndx] : NULL;
	struct zpool_driver head = { 0 };

	if (!section || section->sh_type != SHT_PROGBITS || symbol->st_size < bytes ||
	    symbol->st_value < section->sh_addr || symbol->st_value - section->sh_addr > section->sh_size)
		return;
	uint64_t offset = section->sh_offset + (symbol->st_value - section->sh_addr);
	void *copy = offset < section->sh_offset ? NULL : read_range(file, offset, bytes);
	if (!copy)
		return;
	memcpy(&head, copy, bytes);
	free(copy);
	if (head.magic != ZPOOL_DRIVER_MAGIC || head.abi_major != ZPOOL_ABI_MAJOR)
		return;
	file->report->max_object_bytes = head.max_object_bytes;
	file->report->is_filter = head.flags_required & ZPOOL_DRIVER_FILTER;
}

static void examine_symbol(struct elf_file *file, const ElfW(Sym) *symbol, bool *found)
{
	const char *name = string_at(file, symbol->st_name);
	if (!name)
		return;
	if (symbol->st_shndx == SHN_UNDEF) {
		if (strncmp(name, "zpool_", 6) == 0)
			fault(file,
			      "it calls %.100s: a plugin must use the host table that create gets, and not link with libzpool",
			      name);
	} else if (strcmp(name, "zpool_driver") == 0) {
		*found = true;
		file->report->driver_bytes = symbol->st_size;
		examine_driver(file, symbol);
	}
}

static void examine_symbols(struct elf_file *file, const ElfW(Shdr) *section)
{
	ElfW(Sym) *symbols = read_range(file, section->sh_offset, section->sh_size);
	bool found = false;

	if (!symbols || !read_strings(file, section)) {
		fault(file, "its symbol table is damaged");
		free(symbols);
		return;
	}
	for (uint64_t i = 0; i < section->sh_size / sizeof(*symbols); i++)
		examine_symbol(file, &symbols[i], &found);
	if (!found)
		fault(file, "it exports no symbol zpool_driver");
	free(symbols);
}

/* libzpool has this soname. OpenZFS ships a different libzpool, which is harmless. */
static bool is_our_soname(const char *name)
{
	return strcmp(name, "libzpool.so.0") == 0 || strcmp(name, "libzpool.so") == 0;
}

static void examine_dynamic(struct elf_file *file, const ElfW(Shdr) *section)
{
	/* Most files do not contain the name among their strings at all, so they need not be examined further. */
	if (!read_strings(file, section) || !memmem(file->strings, file->strings_bytes, "libzpool.so", 11))
		return;
	ElfW(Dyn) *entries = read_range(file, section->sh_offset, section->sh_size);
	for (uint64_t i = 0; entries && i < section->sh_size / sizeof(*entries); i++) {
		const char *name = entries[i].d_tag == DT_NEEDED ? string_at(file, entries[i].d_un.d_val) : NULL;
		if (name && is_our_soname(name))
			fault(file,
			      "it links with %s, which would bring a second driver registry into the process; do not link the plugin with libzpool",
			      name);
	}
	free(entries);
}

/*
 * Returns the only section of this type, or NULL if there is none or there are several. No linker creates several, so
 * that is a fault.
 */
static const ElfW(Shdr) *find_section(struct elf_file *file, uint32_t type, const char *noun)
{
	const ElfW(Shdr) *found = NULL;
	for (unsigned int i = 0; i < file->head.e_shnum; i++) {
		if (file->sections[i].sh_type != type)
			continue;
		if (found) {
			fault(file, "it has more than one %s", noun);
			return NULL;
		}
		found = &file->sections[i];
	}
	return found;
}

static void examine_sections(struct elf_file *file)
{
	for (unsigned int i = 0; i < file->head.e_shnum && !file->report->has_note; i++)
		if (file->sections[i].sh_type == SHT_NOTE)
			examine_notes(file, &file->sections[i]);
	const ElfW(Shdr) *dynamic = find_section(file, SHT_DYNAMIC, "dynamic section");
	const ElfW(Shdr) *symbols = find_section(file, SHT_DYNSYM, "table of dynamic symbols");
	if (symbols)
		examine_symbols(file, symbols);
	else
		fault(file, "it has no dynamic symbols");
	if (dynamic)
		examine_dynamic(file, dynamic);
}

/* The section's data follows the file header that was already read. */
static void examine_body(struct elf_file *file)
{
	const ElfW(Ehdr) *head = &file->head;

	if (head->e_phnum > MAX_PROGRAM_HEADERS) {
		fault(file, "it has %u program headers; at most %u are accepted", head->e_phnum, MAX_PROGRAM_HEADERS);
		return;
	}
	/*
	 * The linker can load a file without section headers (completely stripped); less of it can be checked in
	 * advance.
	 */
	if (head->e_shoff == 0 || head->e_shnum == 0)
		return;
	if (head->e_shnum > MAX_SECTIONS) {
		fault(file, "it has %u sections; at most %u are accepted", head->e_shnum, MAX_SECTIONS);
		return;
	}
	if (head->e_shentsize == sizeof(*file->sections))
		file->sections = read_range(file, head->e_shoff, (uint64_t)head->e_shnum * sizeof(*file->sections));
	if (file->sections)
		examine_sections(file);
	else
		fault(file, "its section table is damaged");
	free(file->strings);
	free(file->sections);
}

static int examine_file(struct elf_file *file)
{
	struct stat st;

	if (fstat(file->fd, &st) < 0)
		return -errno;
	ssize_t n = zp_read_at(file->fd, file->window, sizeof(file->window), 0);
	if (n < 0)
		return (int)n;
	file->err = 0;
	file->report->bytes_read = (uint64_t)n;
	file->window_bytes = (size_t)n;
	file->bytes = (size_t)n < sizeof(file->head) ? 0 : (uint64_t)st.st_size;
	file->sections = NULL;
	file->strings = NULL;
	memcpy(&file->head, file->window, sizeof(file->head));
	if (head_is_ours(file))
		examine_body(file);
	return file->err;
}

int zp_elf_examine(int fd, struct zp_elf_report *report)
{
	*report = (struct zp_elf_report){ 0 };
	/* On the heap, because a host's threads may have small stacks; not cleared, because the window is large. */
	struct elf_file *file = malloc(sizeof(*file));
	if (!file)
		return -ENOMEM;
	file->fd = fd;
	file->report = report;
	int err = examine_file(file);
	free(file);
	return err;
}
