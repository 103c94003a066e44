/* SPDX-License-Identifier: MIT
 *
 * distribution.c - the named distributions of sizes
 *
 * lz4 and zstd are the sizes of real compressed pages, from tests/traces/; the others are computed by a formula.
 */
#include <config.h>

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "../message.h"
#include "../size.h"
#include "job.h"
#include "sizes.h"

/* The number of sizes that a formula generates. */
enum { FORMULA_SIZES = 100000 };

const char sizes_distributions[] = "lz4, zstd, fixed:BYTES, uniform:FROM-TO or exponential:MEAN";

static int take_runs(struct sizes *sizes, const struct size_run *runs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		for (unsigned int k = 0; k < runs[i].times; k++)
			sizes_add(sizes, runs[i].size);
	return 0;
}

static int refuse(const char *name)
{
	warn("%s: is not a distribution of sizes from 1 to %u bytes: write %s", name,
	     (unsigned int)BENCH_OBJECT_BYTES_MAX, sizes_distributions);
	return -EINVAL;
}

/* Returns true if the text, up to `end` or to its own end, is a size. */
static bool parse_size(const char *text, const char *end, uint32_t *size)
{
	char copy[32];
	size_t length = end ? (size_t)(end - text) : strlen(text);
	uint64_t bytes;

	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	if (!size_parse(copy, &bytes) || !bytes || bytes > BENCH_OBJECT_BYTES_MAX)
		return false;
	*size = (uint32_t)bytes;
	return true;
}

static int take_uniform(struct sizes *sizes, const char *name, const char *range)
{
	const char *dash = strchr(range, '-');
	uint32_t from, to;

	if (!dash || !parse_size(range, dash, &from) || !parse_size(dash + 1, NULL, &to) || from > to)
		return refuse(name);
	for (uint64_t i = 0; i < FORMULA_SIZES; i++)
		sizes_add(sizes, from + (uint32_t)(i * (to - from + UINT64_C(1)) / FORMULA_SIZES));
	return 0;
}

static int take_exponential(struct sizes *sizes, const char *name, const char *text)
{
	uint32_t mean;

	if (!parse_size(text, NULL, &mean))
		return refuse(name);
	for (uint64_t i = 0; i < FORMULA_SIZES; i++) {
		double size = ceil(-log(1 - ((double)i + 0.5) / FORMULA_SIZES) * mean);

		sizes_add(sizes, size > BENCH_OBJECT_BYTES_MAX ? BENCH_OBJECT_BYTES_MAX : (uint32_t)size);
	}
	return 0;
}

static int take_fixed(struct sizes *sizes, const char *name, const char *text)
{
	uint32_t size;

	if (!parse_size(text, NULL, &size))
		return refuse(name);
	for (unsigned int i = 0; i < FORMULA_SIZES; i++)
		sizes_add(sizes, size);
	return 0;
}

/* Returns the text after "NAME:", or NULL if the text begins otherwise. */
static const char *behind(const char *text, const char *name)
{
	size_t length = strlen(name);

	return !strncmp(text, name, length) && text[length] == ':' ? text + length + 1 : NULL;
}

int sizes_distribution(struct sizes *sizes, const char *name)
{
	const char *rest;
	int error = 1;

	if (!strcmp(name, "lz4"))
		error = take_runs(sizes, sizes_lz4, sizes_lz4_runs);
	else if (!strcmp(name, "zstd"))
		error = take_runs(sizes, sizes_zstd, sizes_zstd_runs);
	else if ((rest = behind(name, "uniform")))
		error = take_uniform(sizes, name, rest);
	else if ((rest = behind(name, "exponential")))
		error = take_exponential(sizes, name, rest);
	else if ((rest = behind(name, "fixed")))
		error = take_fixed(sizes, name, rest);
	sizes->distribution = !error;
	if (!error)
		snprintf(sizes->text, sizeof(sizes->text), "%s", name);
	return error;
}
