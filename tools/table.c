/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdio.h>
#include <stdlib.h>

#include <libsmartcols.h>

#include "message.h"
#include "table.h"

struct table {
	struct libscols_table *scols;
	size_t columns;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = malloc(sizeof(*table));

	if (!table)
		out_of_memory();
	*table = (struct table){ scols_new_table(), count };
	if (!table->scols)
		out_of_memory();
	for (size_t i = 0; i < count; i++) {
		int flags = (columns[i].number ? SCOLS_FL_RIGHT : 0) | (columns[i].wrapped ? SCOLS_FL_WRAP : 0);

		if (!scols_table_new_column(table->scols, columns[i].name, 0, flags))
			out_of_memory();
	}
	return table;
}

void table_add(struct table *table, const char *const *cells)
{
	struct libscols_line *line = scols_table_new_line(table->scols, NULL);

	if (!line)
		out_of_memory();
	for (size_t i = 0; i < table->columns; i++)
		if (scols_line_set_data(line, i, cells[i] ? cells[i] : "-"))
			out_of_memory();
}

void table_print(struct table *table)
{
	scols_print_table(table->scols);
	scols_unref_table(table->scols);
	free(table);
}
