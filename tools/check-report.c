/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zpool.h>

#include "check-report.h"
#include "json.h"
#include "message.h"
#include "output.h"
#include "progress.h"
#include "text.h"

static struct {
	bool as_json;
	const char *junit_path;
	bool ended;
	json_t *checks, *left_out;
	unsigned int count[CT_SKIPPED + 1];
	double seconds;
	uint64_t seed;
	bool bar_shown;
	char bar_label[64];
} report;

static const char *outcome_name(enum ct_outcome outcome)
{
	return outcome == CT_PASSED ? "passed" : outcome == CT_SKIPPED ? "skipped" : "failed";
}

bool check_report_start(bool as_json, const char *junit)
{
	report.as_json = as_json;
	report.junit_path = junit;
	report.checks = json_array();
	report.left_out = json_array();
	if (!report.checks || !report.left_out)
		out_of_memory();
	/*
	 * The path is checked now, so that a report that cannot be written is an error before the checks run, not after
	 * them.
	 */
	return !junit || output_check(junit);
}

static void begin(const struct ct_options *options)
{
	report.seed = options->seed;
	if (!report.as_json)
		ct_report_tap.begin(options);
}

/* Returns the command that runs this case alone, under `debugger` unless that is "". */
static json_t *alone(const struct ct_options *options, const struct ct_verdict *verdict, const char *debugger)
{
	char *text = NULL;
	size_t size;
	FILE *stream = open_memstream(&text, &size);
	json_t *json;

	if (!stream)
		out_of_memory();
	ct_print_alone(stream, options, debugger, verdict->spec, verdict->c->name);
	text_end(stream, &text);
	json = json_text(text);
	free(text);
	return json;
}

static json_t *ways_to_run(const struct ct_options *options, const struct ct_verdict *verdict)
{
	json_t *ways = json_array();

	json_array_append_new(ways, alone(options, verdict, ""));
	for (const char *const *debugger = options->debuggers; *debugger; debugger++)
		json_array_append_new(ways, alone(options, verdict, *debugger));
	return ways;
}

static void verdict(const struct ct_options *options, const struct ct_verdict *verdict)
{
	bool failed = verdict->outcome == CT_FAILED, passed = verdict->outcome == CT_PASSED;
	json_t *check =
		json_pack("{s:o, s:o, s:o, s:o, s:s, s:f, s:o, s:o, s:o}", "spec", json_text(verdict->spec), "subject",
			  json_text(verdict->subject), "case", json_text(verdict->c->name), "promise",
			  json_text(verdict->c->promise), "result", outcome_name(verdict->outcome), "seconds",
			  verdict->seconds, "reason", passed ? json_null() : json_text(verdict->text), "output",
			  failed && *verdict->output ? json_text(verdict->output) : json_null(), "alone",
			  failed ? ways_to_run(options, verdict) : json_null());

	if (!check || json_array_append_new(report.checks, check))
		out_of_memory();
	report.count[verdict->outcome]++;
	report.seconds += verdict->seconds;
	progress_hide();
	if (!report.as_json)
		ct_report_tap.verdict(options, verdict);
}

static void left_out(const struct ct_options *options, const char *spec)
{
	if (json_array_append_new(report.left_out, json_text(spec)))
		out_of_memory();
	progress_hide();
	if (!report.as_json)
		ct_report_tap.left_out(options, spec);
}

/*
 * Estimates the remaining time, on the assumption that the remaining weight takes as long per unit as the finished
 * weight did.
 */
static void estimate(const struct ct_progress *now, char *text, size_t size)
{
	double left_s;

	if (now->done_weight == 0 || now->elapsed_s < 2) {
		snprintf(text, size, "%u of %u cases", now->done, now->total);
		return;
	}
	left_s = now->elapsed_s * (now->total_weight - now->done_weight) / now->done_weight;
	if (left_s < 90)
		snprintf(text, size, "%u of %u, %.0f s left", now->done, now->total, left_s);
	else
		snprintf(text, size, "%u of %u, %.0f min left", now->done, now->total, left_s / 60);
}

static void progress(const struct ct_options *options, const struct ct_progress *now)
{
	(void)options;
	if (!report.bar_shown)
		progress_start(report.bar_label, now->total_weight);
	report.bar_shown = true;
	estimate(now, report.bar_label, sizeof(report.bar_label));
	progress_update(now->done_weight);
}

/* ---- JUnit ---- */

/*
 * Writes text or the value of an attribute. Control characters and non-ASCII bytes, which the report does not encode,
 * are written as `?'.
 */
static void xml_text(FILE *to, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		if (c == '&')
			fputs("&amp;", to);
		else if (c == '<')
			fputs("&lt;", to);
		else if (c == '>')
			fputs("&gt;", to);
		else if (c == '"')
			fputs("&quot;", to);
		else if (c == '\n')
			fputs("&#10;", to);
		else
			fputc((c < ' ' && c != '\t') || c > '~' ? '?' : c, to);
	}
}

static void xml_attribute(FILE *to, const char *name, const char *value)
{
	fprintf(to, " %s=\"", name);
	xml_text(to, value);
	fputc('"', to);
}

static const char *member(const json_t *check, const char *name)
{
	const char *text = json_string_value(json_object_get(check, name));

	return text ? text : "";
}

static void junit_case(FILE *to, const json_t *check)
{
	const char *result = member(check, "result");
	const json_t *way;
	size_t i;

	fputs("    <testcase", to);
	xml_attribute(to, "classname", member(check, "spec"));
	xml_attribute(to, "name", member(check, "case"));
	fprintf(to, " time=\"%.3f\"", json_real_value(json_object_get(check, "seconds")));
	if (!strcmp(result, "passed")) {
		fputs("/>\n", to);
		return;
	}
	fprintf(to, ">\n      <%s", strcmp(result, "failed") ? "skipped" : "failure");
	xml_attribute(to, "message", member(check, "reason"));
	if (!strcmp(result, "failed")) {
		fputs(">promised: ", to);
		xml_text(to, member(check, "promise"));
		fputs("\nhappened: ", to);
		xml_text(to, member(check, "reason"));
		if (*member(check, "output")) {
			fputs("\nprinted: ", to);
			xml_text(to, member(check, "output"));
		}
		json_array_foreach (json_object_get(check, "alone"), i, way) {
			fputs(i ? "\nor with: " : "\nalone: ", to);
			xml_text(to, json_string_value(way));
		}
		fputs("</failure>\n", to);
	} else {
		fputs("/>\n", to);
	}
	fputs("    </testcase>\n", to);
}

static void print_junit(FILE *to)
{
	const json_t *check;
	size_t i;

	fprintf(to,
		"<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites>\n"
		"  <testsuite name=\"zpoolctl check\" tests=\"%zu\" failures=\"%u\" skipped=\"%u\" errors=\"0\" time=\"%.3f\">\n"
		"    <properties>\n      <property name=\"seed\" value=\"%" PRIu64 "\"/>\n    </properties>\n",
		json_array_size(report.checks), report.count[CT_FAILED], report.count[CT_SKIPPED], report.seconds,
		report.seed);
	json_array_foreach (report.checks, i, check)
		junit_case(to, check);
	fputs("  </testsuite>\n</testsuites>\n", to);
}

/* ---- the end ---- */

static void end(const struct ct_options *options, unsigned int count)
{
	progress_end();
	if (!report.as_json) {
		ct_report_tap.end(options, count);
		printf("# %u passed, %u failed, %u skipped\n", report.count[CT_PASSED], report.count[CT_FAILED],
		       report.count[CT_SKIPPED]);
	}
	report.ended = true;
	if (report.as_json)
		json_print(json_pack("{s:s, s:o, s:i, s:i, s:i, s:O, s:O}", "version", zpool_version(), "seed",
				     json_number(report.seed), "passed", (int)report.count[CT_PASSED], "failed",
				     (int)report.count[CT_FAILED], "skipped", (int)report.count[CT_SKIPPED], "left_out",
				     report.left_out, "checks", report.checks));
}

const struct ct_report check_report = { begin, verdict, left_out, progress, end };

bool check_report_finish(void)
{
	struct output output;
	bool written = true;

	if (report.junit_path && report.ended) {
		written = output_begin(&output, report.junit_path);
		if (written) {
			print_junit(output.stream);
			written = output_end(&output);
		}
	}
	json_decref(report.checks);
	json_decref(report.left_out);
	return written;
}
