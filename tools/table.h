/* SPDX-License-Identifier: MIT
 *
 * table.h - a table on standard output
 *
 * It fits the width of the terminal, or of $COLUMNS where that is set: long texts are folded between words, columns
 * that can be missed are left out with a message, and what is still too wide is printed as several tables, each of
 * which begins with the first column.  In a pipe or a file, without $COLUMNS, every row is one whole line.
 */
#ifndef TABLE_H
#define TABLE_H 1

#include <stdbool.h>
#include <stddef.h>

struct table;

struct table_column {
	const char *name;     /* NULL in every column: a table without a head */
	bool number;          /* to the right */
	bool wrapped;         /* folded where the terminal is too narrow */
	unsigned int dropped; /* where it is too narrow for that too: left out, 1 before 2 and so on; 0: never */
	size_t columns_min;   /* at least as wide as this */
};

struct table *table_new(const struct table_column *columns, size_t count);

/* One cell for each column, escaped and copied; NULL: "-". */
void table_add(struct table *table, const char *const *cells);

/* Print and free. */
void table_print(struct table *table);

/* A line of text, escaped, and folded where a table would be. */
void table_print_text(const char *text);

#endif /* TABLE_H */
