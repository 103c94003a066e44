/* SPDX-License-Identifier: MIT
 *
 * tap.c - the report in the Test Anything Protocol, as it goes on
 */
#include "contract.h"

#include <inttypes.h>
#include <stdlib.h>

static void tap_begin(const struct ct_options *options)
{
	printf("TAP version 13\n# seed %" PRIu64 "\n", options->seed);
	fflush(stdout);
}

static void print_lines(const char *label, const char *text)
{
	printf("#   %-9s ", label);
	for (; *text != '\0'; text++) {
		putchar(*text);
		if (*text == '\n')
			printf("#   %-9s ", "");
	}
	putchar('\n');
}

void ct_print_alone(FILE *to, const struct ct_options *options, const char *debugger, const char *spec,
		    const char *case_name)
{
	const char *path = getenv("ZPOOL_PLUGIN_PATH");
	struct ct_options here = *options;

	if (*debugger)
		here.isolate = false;
	if (path)
		fprintf(to, "ZPOOL_PLUGIN_PATH='%s' ", path);
	if (*debugger)
		fprintf(to, "%s ", debugger);
	here.command(to, &here, spec, case_name);
}

static void print_failure(const struct ct_options *options, const struct ct_verdict *verdict)
{
	print_lines("promised:", verdict->c->promise);
	print_lines("happened:", verdict->text);
	printf("#   %-9s %" PRIu64 "\n", "seed:", options->seed);
	printf("#   %-9s ", "alone:");
	ct_print_alone(stdout, options, "", verdict->spec, verdict->c->name);
	putchar('\n');
	for (const char *const *debugger = options->debuggers; debugger && *debugger; debugger++) {
		printf("#   %-9s ", debugger == options->debuggers ? "or with:" : "");
		ct_print_alone(stdout, options, *debugger, verdict->spec, verdict->c->name);
		putchar('\n');
	}
}

static void tap_verdict(const struct ct_options *options, const struct ct_verdict *verdict)
{
	printf("%sok %u - %s: %s", verdict->outcome == CT_FAILED ? "not " : "", verdict->number, verdict->spec,
	       verdict->c->name);
	if (verdict->outcome == CT_SKIPPED)
		printf(" # SKIP %s", verdict->text);
	putchar('\n');
	if (verdict->outcome == CT_FAILED)
		print_failure(options, verdict);
	fflush(stdout);
}

static void tap_left_out(const struct ct_options *options, const char *spec)
{
	(void)options;
	printf("# %s: no pool can be made, so the other cases are left out\n", spec);
}

static void tap_end(const struct ct_options *options, unsigned int count)
{
	(void)options;
	printf("1..%u\n", count);
}

const struct ct_report ct_report_tap = { tap_begin, tap_verdict, tap_left_out, tap_end };
