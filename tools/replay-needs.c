/* SPDX-License-Identifier: MIT
 *
 * replay-needs.c - what a replay on a spec requires, as far as the text of the spec shows
 */
#include <config.h>

#include <string.h>

#include "replay-contents.h"
#include "replay.h"
#include "size.h"
#include "spec.h"

uint64_t replay_needs_bytes(const struct trace_file *trace, const char *text)
{
	const struct trace_totals *totals = &trace->totals;
	uint64_t bytes = totals->bytes_peak, limit_bytes;
	struct spec spec;

	if (spec_parse(&spec, text)) {
		const char *limit = spec_value(&spec, "limit");

		if (limit && size_parse(limit, &limit_bytes) && limit_bytes && limit_bytes < bytes)
			bytes = limit_bytes;
		spec_free(&spec);
	}
	bytes += 2 * totals->largest + totals->objects * sizeof(struct replay_object);
	bytes += REPLAY_PIECES_PER_WRITE * totals->partial_writes * sizeof(struct replay_piece);
	return totals->shrinks ? bytes + 4 * totals->objects * sizeof(struct replay_slot) : bytes;
}

bool replay_counts_calls(const char *text)
{
	struct spec spec;
	bool counts = false;

	if (!spec_parse(&spec, text))
		return false;
	for (size_t i = 0; i < spec.part_count; i++)
		counts = counts || !strcmp(spec.parts[i].type, "fault");
	spec_free(&spec);
	return counts;
}
