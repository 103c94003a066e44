/* SPDX-License-Identifier: MIT
 *
 * tap.c - the report in the Test Anything Protocol, written verdict by verdict
 */
#include "contract.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

static void tap_begin(const struct ct_options *options)
{
	printf("TAP version 13\n# seed %" PRIu64 "\n", options->seed);
	fflush(stdout);
}

/* Prints a text that may contain a driver's output, made safe for a terminal. */
static void print_safe(const char *text)
{
	size_t bytes = zpool_escape(NULL, 0, text) + 1;
	char *safe = malloc(bytes);

	if (!safe)
		return;
	zpool_escape(safe, bytes, text);
	fputs(safe, stdout);
	free(safe);
}

static void print_lines(const char *label, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n");
		char *line = strndup(text, length);

		printf("#   %-9s ", label);
		print_safe(line ? line : "");
		putchar('\n');
		free(line);
		label = "";
		text += length + (text[length] == '\n');
	}
}

/* Prints the name on one line, without the character that begins a TAP directive. */
static void print_name(const char *text)
{
	char *name = strdup(text);

	for (char *c = name; c && *c; c++)
		if (*c == '#')
			*c = '?';
	print_safe(name ? name : "");
	free(name);
}

static void print_way(const struct ct_options *options, const struct ct_verdict *verdict, const char *label,
		      const char *debugger)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);

	if (!stream)
		return;
	ct_print_alone(stream, options, debugger, verdict->spec, verdict->c->name);
	if (fclose(stream) == 0 && text)
		print_lines(label, text);
	free(text);
}

static void print_failure(const struct ct_options *options, const struct ct_verdict *verdict)
{
	print_lines("promised:", verdict->c->promise);
	print_lines("happened:", verdict->text);
	if (verdict->output[0] != '\0')
		print_lines("printed:", verdict->output);
	printf("#   %-9s %" PRIu64 "\n", "seed:", options->seed);
	print_way(options, verdict, "alone:", "");
	for (const char *const *debugger = options->debuggers; debugger && *debugger; debugger++)
		print_way(options, verdict, debugger == options->debuggers ? "or with:" : "", *debugger);
}

static void tap_verdict(const struct ct_options *options, const struct ct_verdict *verdict)
{
	printf("%sok %u - ", verdict->outcome == CT_FAILED ? "not " : "", verdict->number);
	print_name(verdict->spec);
	printf(": %s", verdict->c->name);
	if (verdict->outcome == CT_SKIPPED) {
		printf(" # SKIP ");
		print_safe(verdict->text);
	}
	putchar('\n');
	if (verdict->outcome == CT_FAILED)
		print_failure(options, verdict);
	fflush(stdout);
}

static void tap_left_out(const struct ct_options *options, const char *spec)
{
	(void)options;
	printf("# ");
	print_name(spec);
	printf(": the driver cannot create a pool, so the other cases are left out\n");
}

static void tap_end(const struct ct_options *options, unsigned int count)
{
	(void)options;
	printf("1..%u\n", count);
}

const struct ct_report ct_report_tap = { tap_begin, tap_verdict, tap_left_out, NULL, tap_end };
