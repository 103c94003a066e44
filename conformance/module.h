/* SPDX-License-Identifier: MIT
 *
 * module.h - the symbols and libraries of a plugin, read from its file
 */
#ifndef CT_MODULE_H
#define CT_MODULE_H 1

#include <stdbool.h>
#include <stddef.h>

/*
 * bytes, size    the file
 * dynamic        the dynamic section, with dynamic_count entries
 * symbols        the dynamic symbols, and their names
 */
struct ct_module {
	const char *bytes;
	size_t size;
	const void *dynamic;
	size_t dynamic_count;
	const void *symbols;
	size_t symbol_count;
	const char *names;
	size_t names_size;
};

/* Returns NULL, or the reason why the file cannot be read, as a sentence without its full stop. */
const char *ct_module_open(struct ct_module *module, const char *path);
void ct_module_close(struct ct_module *module);

/* Visits the symbols that the file exports (defined), or that it needs from others (not defined). */
void ct_module_symbols(const struct ct_module *module, bool defined, void (*fn)(const char *name, void *user),
		       void *user);

/* Visits the libraries that the file needs. */
void ct_module_needed(const struct ct_module *module, void (*fn)(const char *name, void *user), void *user);

/* Returns true if every symbol is bound at load time rather than at its first call. */
bool ct_module_binds_now(const struct ct_module *module);

#endif /* CT_MODULE_H */
