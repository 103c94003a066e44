/* SPDX-License-Identifier: MIT
 *
 * module.c - reading a plugin's file
 *
 * The section headers lead to the tables.  A file without section headers could be loaded, but linkers only make one on
 * request.  Tables and names outside the file are treated as missing.
 */
#include "module.h"

#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Returns a table of `count` entries at an offset of the file, or NULL if it is outside or not aligned. */
static const void *table_at(const struct ct_module *module, uint64_t offset, uint64_t count, size_t entry_bytes)
{
	if (offset > module->size || count > (module->size - offset) / entry_bytes || offset % sizeof(ElfW(Addr)) != 0)
		return NULL;
	return module->bytes + offset;
}

static const ElfW(Shdr) *sections_of(const struct ct_module *module, size_t *count)
{
	const ElfW(Ehdr) *head = (const void *)module->bytes;

	*count = head->e_shnum;
	return head->e_shentsize == sizeof(ElfW(Shdr)) && head->e_shoff != 0
		       ? table_at(module, head->e_shoff, head->e_shnum, sizeof(ElfW(Shdr)))
		       : NULL;
}

static bool is_native(const struct ct_module *module)
{
	const ElfW(Ehdr) *head = (const void *)module->bytes;
	const int class = sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32;
	const uint16_t one = 1;
	const int order = *(const char *)&one ? ELFDATA2LSB : ELFDATA2MSB;

	return module->size >= sizeof(*head) && memcmp(head->e_ident, ELFMAG, SELFMAG) == 0 &&
	       head->e_ident[EI_CLASS] == class && head->e_ident[EI_DATA] == order && head->e_type == ET_DYN;
}

static bool take_names(struct ct_module *module, const ElfW(Shdr) *sections, size_t count, size_t link)
{
	if (link >= count || sections[link].sh_type != SHT_STRTAB || sections[link].sh_offset > module->size ||
	    sections[link].sh_size > module->size - sections[link].sh_offset)
		return false;
	module->names = module->bytes + sections[link].sh_offset;
	module->names_size = sections[link].sh_size;
	return module->names_size > 0 && module->names[module->names_size - 1] == '\0';
}

static const char *find_tables(struct ct_module *module)
{
	size_t count = 0;
	const ElfW(Shdr) *sections = sections_of(module, &count);

	for (size_t i = 0; sections && i < count; i++) {
		const ElfW(Shdr) *section = &sections[i];

		if (section->sh_type == SHT_DYNSYM) {
			module->symbol_count = section->sh_size / sizeof(ElfW(Sym));
			module->symbols = table_at(module, section->sh_offset, module->symbol_count, sizeof(ElfW(Sym)));
			if (!take_names(module, sections, count, section->sh_link))
				return "its symbols have no names";
		} else if (section->sh_type == SHT_DYNAMIC) {
			module->dynamic_count = section->sh_size / sizeof(ElfW(Dyn));
			module->dynamic =
				table_at(module, section->sh_offset, module->dynamic_count, sizeof(ElfW(Dyn)));
		}
	}
	return module->symbols && module->dynamic
		       ? NULL
		       : "it has no section of dynamic symbols, or the section lies outside the file";
}

const char *ct_module_open(struct ct_module *module, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	const char *fault = NULL;
	struct stat stat;

	memset(module, 0, sizeof(*module));
	if (fd < 0 || fstat(fd, &stat) != 0 || !S_ISREG(stat.st_mode) || stat.st_size <= 0)
		fault = "it cannot be opened, or is not a regular file";
	if (!fault) {
		void *bytes = mmap(NULL, (size_t)stat.st_size, PROT_READ, MAP_PRIVATE, fd, 0);

		if (bytes == MAP_FAILED) {
			fault = "it cannot be mapped";
		} else {
			module->bytes = bytes;
			module->size = (size_t)stat.st_size;
		}
	}
	if (fd >= 0)
		close(fd);
	if (!fault && !is_native(module))
		fault = "it is not a shared object for this machine";
	return fault ? fault : find_tables(module);
}

void ct_module_close(struct ct_module *module)
{
	if (module->bytes)
		munmap((void *)(uintptr_t)module->bytes, module->size);
	memset(module, 0, sizeof(*module));
}

static const char *name_at(const struct ct_module *module, uint64_t at)
{
	return at < module->names_size ? module->names + at : "(a name outside the file)";
}

void ct_module_symbols(const struct ct_module *module, bool defined, void (*fn)(const char *name, void *user),
		       void *user)
{
	const ElfW(Sym) *symbols = module->symbols;

	/* The first symbol is the null symbol. */
	for (size_t i = 1; i < module->symbol_count; i++) {
		int visibility = symbols[i].st_other & 3; /* the macros are the same for 32 and 64 bits */

		if ((symbols[i].st_shndx != SHN_UNDEF) != defined || ELF64_ST_BIND(symbols[i].st_info) == STB_LOCAL)
			continue;
		if (defined && (visibility == STV_HIDDEN || visibility == STV_INTERNAL))
			continue;
		fn(name_at(module, symbols[i].st_name), user);
	}
}

void ct_module_needed(const struct ct_module *module, void (*fn)(const char *name, void *user), void *user)
{
	const ElfW(Dyn) *dynamic = module->dynamic;

	for (size_t i = 0; i < module->dynamic_count && dynamic[i].d_tag != DT_NULL; i++)
		if (dynamic[i].d_tag == DT_NEEDED)
			fn(name_at(module, dynamic[i].d_un.d_val), user);
}

bool ct_module_binds_now(const struct ct_module *module)
{
	const ElfW(Dyn) *dynamic = module->dynamic;

	for (size_t i = 0; i < module->dynamic_count && dynamic[i].d_tag != DT_NULL; i++)
		if (dynamic[i].d_tag == DT_BIND_NOW ||
		    (dynamic[i].d_tag == DT_FLAGS && dynamic[i].d_un.d_val & DF_BIND_NOW) ||
		    (dynamic[i].d_tag == DT_FLAGS_1 && dynamic[i].d_un.d_val & DF_1_NOW))
			return true;
	return false;
}
