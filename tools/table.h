/* SPDX-License-Identifier: MIT
 *
 * table.h - a table on standard output
 */
#ifndef TABLE_H
#define TABLE_H 1

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table_column {
	const char *name;
	bool number;  /* to the right */
	bool wrapped; /* broken into lines where the terminal is too narrow */
};

struct table *table_new(const struct table_column *columns, size_t count);

/* One cell for each column, copied; NULL: "-". */
void table_add(struct table *table, const char *const *cells);

/* Print and free. */
void table_print(struct table *table);

#endif /* TABLE_H */
