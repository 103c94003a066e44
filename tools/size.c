/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "size.h"

bool size_parse(const char *text, uint64_t *bytes)
{
	static const char suffixes[] = "KMGT";
	unsigned long long number;
	unsigned int shift = 0;
	char *end;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	number = strtoull(text, &end, 10);
	if (errno)
		return false;
	if (*end) {
		const char *suffix = strchr(suffixes, *end);

		if (!suffix || end[1])
			return false;
		shift = 10 * (unsigned int)(suffix - suffixes + 1);
	}
	if (number > UINT64_MAX >> shift)
		return false;
	*bytes = (uint64_t)number << shift;
	return true;
}

/* Prints three significant digits; a whole number is printed without a fraction. */
static void format(double number, bool whole, const char *unit, char text[SIZE_TEXT])
{
	int digits = whole ? 0 : number < 9.995 ? 2 : number < 99.95 ? 1 : 0;

	snprintf(text, SIZE_TEXT, "%.*f%s", digits, number, unit);
}

const char *size_format(uint64_t bytes, char text[SIZE_TEXT])
{
	static const char *const units[] = { "B", "K", "M", "G", "T", "P", "E" };
	size_t unit = 0;
	double number = (double)bytes;
	bool whole = true;

	while (number >= 1023.5 && unit + 1 < sizeof(units) / sizeof(units[0])) {
		whole = whole && !(bytes >> 10 * unit & 1023);
		number /= 1024;
		unit++;
	}
	format(number, whole, units[unit], text);
	return text;
}

const char *size_format_ns(double ns, char text[SIZE_TEXT])
{
	if (ns < 999.5)
		format(ns, false, "ns", text);
	else if (ns < 999.5e3)
		format(ns / 1e3, false, "us", text);
	else
		format(ns / 1e6, false, "ms", text);
	return text;
}
