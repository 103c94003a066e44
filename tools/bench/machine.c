/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "machine.h"

static void find_model(char *text, size_t bytes)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char *line = NULL;
	size_t room = 0;

	while (file && getline(&line, &room, file) > 0) {
		const char *colon = strchr(line, ':');

		if (strncmp(line, "model name", 10) || !colon)
			continue;
		snprintf(text, bytes, "%s", colon + 1 + strspn(colon + 1, " "));
		text[strcspn(text, "\n")] = '\0';
		break;
	}
	free(line);
	if (file)
		fclose(file);
}

void machine_describe(struct machine *machine)
{
	struct utsname system;
	cpu_set_t set;

	*machine = (struct machine){ .processors = 1 };
	if (!uname(&system)) {
		snprintf(machine->kernel, sizeof(machine->kernel), "%.20s %.70s", system.sysname, system.release);
		snprintf(machine->processor, sizeof(machine->processor), "%s", system.machine);
	}
	find_model(machine->processor, sizeof(machine->processor));
	if (!sched_getaffinity(0, sizeof(set), &set))
		machine->processors = (unsigned int)CPU_COUNT(&set);
}
