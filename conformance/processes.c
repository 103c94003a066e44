/* SPDX-License-Identifier: MIT
 *
 * processes.c - the descendants of this process, read from /proc
 */
#ifdef HAVE_CONFIG_H
#include <config.h>
#endif
#include "processes.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct table {
	struct ct_process *at;
	size_t count, capacity;
};

/* The name is in parentheses and may contain any character, so the other fields start after the last parenthesis. */
static bool read_process(const char *pid, struct ct_process *process)
{
	unsigned long long user, system, children_user, children_system;
	char path[64], line[512], *name, *rest;
	FILE *file;
	bool read;

	snprintf(path, sizeof(path), "/proc/%.20s/stat", pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	read = fgets(line, sizeof(line), file) != NULL;
	fclose(file);
	name = read ? strchr(line, '(') : NULL;
	rest = name ? strrchr(name, ')') : NULL;
	if (!rest)
		return false;
	snprintf(process->name, sizeof(process->name), "%.*s", (int)(rest - name - 1), name + 1);
	process->pid = (pid_t)atol(pid);
	if (sscanf(rest + 1, " %c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu", &process->state,
		   &process->parent, &user, &system, &children_user, &children_system) != 6)
		return false;
	process->ticks = user + system + children_user + children_system;
	return true;
}

static void table_read(struct table *table)
{
	DIR *directory = opendir("/proc");
	struct dirent *entry;

	while (directory && (entry = readdir(directory))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (table->count == table->capacity) {
			size_t capacity = table->capacity ? 2 * table->capacity : 256;
			struct ct_process *at = realloc(table->at, capacity * sizeof(*at));

			if (!at)
				break;
			table->at = at;
			table->capacity = capacity;
		}
		if (read_process(entry->d_name, &table->at[table->count]))
			table->count++;
	}
	if (directory)
		closedir(directory);
}

static void visit_children(struct table *table, pid_t parent, void (*fn)(const struct ct_process *process, void *user),
			   void *user)
{
	for (size_t i = 0; i < table->count; i++) {
		if (table->at[i].parent != parent)
			continue;
		/* A table that was read while processes started and ended could contain a cycle. */
		table->at[i].parent = -1;
		fn(&table->at[i], user);
		visit_children(table, table->at[i].pid, fn, user);
	}
}

void ct_processes_each(void (*fn)(const struct ct_process *process, void *user), void *user)
{
	struct table table = { NULL, 0, 0 };

	table_read(&table);
	visit_children(&table, getpid(), fn, user);
	free(table.at);
}
