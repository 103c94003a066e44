/* SPDX-License-Identifier: MIT
 *
 * module.h - what a plugin's file shows to the dynamic linker, read from the file
 */
#ifndef CT_MODULE_H
#define CT_MODULE_H 1

#include <stdbool.h>
#include <stddef.h>

/*
 * bytes, size    the file
 * dynamic        the table of the dynamic linker, dynamic_count entries
 * symbols        the table of the symbols that it sees, and their names
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

/* NULL, or a sentence without its end: why the file cannot be read so. */
const char *ct_module_open(struct ct_module *module, const char *path);
void ct_module_close(struct ct_module *module);

/* Visit the symbols that others can see (defined), or that it asks others for (not defined). */
void ct_module_symbols(const struct ct_module *module, bool defined, void (*fn)(const char *name, void *user),
		       void *user);

/* Visit the libraries that it needs. */
void ct_module_needed(const struct ct_module *module, void (*fn)(const char *name, void *user), void *user);

/* Is every symbol looked up when it is loaded, and not when it is first called? */
bool ct_module_binds_now(const struct ct_module *module);

#endif /* CT_MODULE_H */
