/* SPDX-License-Identifier: MIT
 *
 * leaves.c - how the store removes a leaf of its index (store/index.c) that other threads may read in a section
 * (store/context.h)
 */
#include <config.h>

#include "protocols.h"

enum { LINK, SECTION_A, SECTION_B };

/* clang-format off: a line for each instruction */
/* Two calls of zps_index_find() in a context's section. */
#define READER(section_, begin_)                                                                                       \
	{ SET(R2, 2) }, { begin_(section_, 1), AT("begin") }, { LOAD(R0, LINK) }, { IF(R0, 0, "end") },                \
		{ GHOST(OP_MAPPED) }, { GHOST(OP_UNMAPPED) }, { STORE(section_, 0), AT("end") },                       \
		{ COUNT(R2, "begin") },                                                                                \
	{                                                                                                              \
		END                                                                                                    \
	}

static const struct instruction reader[] = { READER(SECTION_A, SWAP) };
static const struct instruction other_reader[] = { READER(SECTION_B, SWAP) };
static const struct instruction reader_with_plain_store[] = { READER(SECTION_A, STORE) };

/* unlink_leaf() and zps_contexts_wait(), which looks at the contexts one after the other */
static const struct instruction sweeper[] = {
	{ SWAP(LINK, 0) }, { WAIT(SECTION_A, 0) }, { WAIT(SECTION_B, 0) }, { GHOST(OP_FREED) }, { END },
};

static const struct instruction sweeper_with_plain_store[] = {
	{ STORE(LINK, 0) }, { WAIT(SECTION_A, 0) }, { WAIT(SECTION_B, 0) }, { GHOST(OP_FREED) }, { END },
};

static const struct instruction sweeper_without_wait[] = { { SWAP(LINK, 0) }, { GHOST(OP_FREED) }, { END } };

#define LINKED .memory = { [LINK] = 1 }, .counter_var = -1, .final_var = LINK, .final_values = 1 << 0

const struct protocol leaf_protocols[] = {
	{ "remove a leaf", NULL, { reader, other_reader, sweeper }, LINKED },
	{ "remove a leaf", "it is unlinked with a plain store", { reader, sweeper_with_plain_store }, LINKED },
	{ "remove a leaf", "a section begins with a plain store", { reader_with_plain_store, sweeper }, LINKED },
	{ "remove a leaf", "no section is waited for", { reader, sweeper_without_wait }, LINKED },
};
/* clang-format on */
const unsigned int leaf_count = sizeof(leaf_protocols) / sizeof(leaf_protocols[0]);
