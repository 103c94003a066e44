/* SPDX-License-Identifier: MIT
 *
 * biased.c - the lock that its owner takes with plain stores (libzpool/support/biased.h), and how threads leave their
 * caches (libzpool/support/magazine.c)
 *
 * In the critical section each thread increments a variable with a load and a store, as it would change a magazine.
 */
#include <config.h>

#include "protocols.h"

enum { BUSY, REVOKED, FENCED, LOCKED, DATA, OWNER, SETTLED = OWNER };
enum { NOBODY = 0, SOMEBODY = 1 };

/* clang-format off: a line for each instruction */
#define SECTION                                                                                                        \
	{ GHOST(OP_ENTER) }, { LOAD(R0, DATA) }, { COPY(DATA, R0, 1) },                                                \
	{                                                                                                              \
		GHOST(OP_LEAVE)                                                                                        \
	}

/* ---- the owner calls zp_biased_enter() and zp_biased_leave() several times ---- */

/* The owner on kernels with membarrier(2). */
static const struct instruction owner[] = {
	{ SET(R2, 3) }, { STORE(BUSY, 1), AT("enter") }, { LOAD(R0, REVOKED) },  { IF(R0, 1, "leave") },
	SECTION,        { STORE(BUSY, 0), AT("leave") }, { COUNT(R2, "enter") }, { END },
};

/* The owner on kernels without membarrier(2). */
static const struct instruction fenced_owner[] = {
	{ SET(R2, 3) }, { SWAP(BUSY, 1), AT("enter") },  { LOAD(R0, REVOKED) },  { IF(R0, 1, "leave") },
	SECTION,        { STORE(BUSY, 0), AT("leave") }, { COUNT(R2, "enter") }, { END },
};

static const struct instruction owner_that_reads_first[] = {
	{ SET(R2, 3) },
	{ LOAD(R0, REVOKED), AT("enter") },
	{ IF(R0, 1, "next") },
	{ STORE(BUSY, 1) },
	SECTION,
	{ STORE(BUSY, 0) },
	{ COUNT(R2, "enter"), AT("next") },
	{ END },
};

/*
 * The owner if membarrier(2) may be refused at any time: it reads zp_biased_is_fenced.  The rest of it follows after it
 * has written BUSY and has FENCED in R0.
 */
#define FENCE_IF_REFUSED                                                                                               \
	{ UNLESS(R0, 1, "entered") }, { FENCE }, { LOAD(R0, REVOKED), AT("entered") }, { IF(R0, 1, "leave") },         \
		SECTION, { STORE(BUSY, 0), AT("leave") }, { COUNT(R2, "enter") },                                      \
	{                                                                                                              \
		END                                                                                                    \
	}

static const struct instruction changing_owner[] = {
	{ SET(R2, 3) },
	{ STORE(BUSY, 1), AT("enter") },
	{ LOAD(R0, FENCED) },
	FENCE_IF_REFUSED,
};

static const struct instruction changing_owner_that_reads_early[] = {
	{ SET(R2, 3) },
	{ LOAD(R0, FENCED), AT("enter") },
	{ STORE(BUSY, 1) },
	FENCE_IF_REFUSED,
};

/* ---- another thread calls zp_caches_stop() and zp_caches_resume() twice ---- */

static const struct instruction revoker[] = {
	{ SET(R2, 2) },        { LOCK(LOCKED), AT("stop") },
	{ SWAP(REVOKED, 1) },  { DRAIN }, /* membarrier(2) */
	{ WAIT(BUSY, 0) },     SECTION,
	{ STORE(REVOKED, 0) }, { UNLOCK(LOCKED) },
	{ COUNT(R2, "stop") }, { END },
};

static const struct instruction revoker_without_barrier[] = {
	{ SET(R2, 2) },        { LOCK(LOCKED), AT("stop") }, { SWAP(REVOKED, 1) },  { WAIT(BUSY, 0) }, SECTION,
	{ STORE(REVOKED, 0) }, { UNLOCK(LOCKED) },           { COUNT(R2, "stop") }, { END },
};

static const struct instruction revoker_without_wait[] = {
	{ SET(R2, 2) },        { LOCK(LOCKED), AT("stop") }, { SWAP(REVOKED, 1) },  { DRAIN }, SECTION,
	{ STORE(REVOKED, 0) }, { UNLOCK(LOCKED) },           { COUNT(R2, "stop") }, { END },
};

static const struct instruction revoker_with_early_barrier[] = {
	{ SET(R2, 2) }, { LOCK(LOCKED), AT("stop") }, { DRAIN },          { SWAP(REVOKED, 1) },  { WAIT(BUSY, 0) },
	SECTION,        { STORE(REVOKED, 0) },        { UNLOCK(LOCKED) }, { COUNT(R2, "stop") }, { END },
};

/* membarrier(2) is refused; until fences suffice, fall_back() sets zp_biased_is_fenced and sleeps. */
static const struct instruction refused_revoker[] = {
	{ SET(R2, 3) },
	{ SWAP(REVOKED, 1), AT("stop") },
	{ LOAD(R0, SETTLED) },
	{ IF(R0, 1, "wait") },
	{ SWAP(FENCED, 1) },
	{ DRAIN }, /* the sleep, which is longer than a processor delays a store */
	{ SWAP(SETTLED, 1) },
	{ WAIT(BUSY, 0), AT("wait") },
	SECTION,
	{ STORE(REVOKED, 0) },
	{ COUNT(R2, "stop") },
	{ END },
};

/* The same at once for the lock of another pool. */
static const struct instruction refused_elsewhere[] = {
	{ SWAP(FENCED, 1) },
	{ DRAIN },
	{ SWAP(SETTLED, 1) },
	{ END },
};

static const struct instruction refused_revoker_that_trusts_fenced[] = {
	{ SET(R2, 2) },
	{ SWAP(REVOKED, 1), AT("stop") },
	{ LOAD(R0, FENCED) },
	{ IF(R0, 1, "wait") },
	{ SWAP(FENCED, 1) },
	{ DRAIN },
	{ WAIT(BUSY, 0), AT("wait") },
	SECTION,
	{ STORE(REVOKED, 0) },
	{ COUNT(R2, "stop") },
	{ END },
};

static const struct instruction refused_revoker_without_sleep[] = {
	{ SET(R2, 2) },
	{ SWAP(REVOKED, 1), AT("stop") },
	{ SWAP(FENCED, 1) },
	{ WAIT(BUSY, 0) },
	SECTION,
	{ STORE(REVOKED, 0) },
	{ COUNT(R2, "stop") },
	{ END },
};

/* ---- seats: a thread that ends leaves its cache, and another one adopts it ---- */

static const struct instruction ending_owner[] = {
	{ STORE(BUSY, 1) },
	{ LOAD(R0, REVOKED) },
	{ IF(R0, 1, "leave") },
	SECTION,
	{ STORE(BUSY, 0), AT("leave") },
	{ STORE(OWNER, NOBODY) },
	{ END },
};

static const struct instruction owner_that_leaves_early[] = {
	{ STORE(BUSY, 1) },
	{ LOAD(R0, REVOKED) },
	{ STORE(OWNER, NOBODY) },
	{ IF(R0, 1, "leave") },
	SECTION,
	{ STORE(BUSY, 0), AT("leave") },
	{ END },
};

static const struct instruction adopter[] = {
	{ LOCK(LOCKED) },
	{ LOAD(R1, OWNER) },
	{ IF(R1, SOMEBODY, "release") },
	{ STORE(OWNER, SOMEBODY) },
	{ UNLOCK(LOCKED), AT("release") },
	{ IF(R1, SOMEBODY, "end") },
	{ STORE(BUSY, 1) },
	{ LOAD(R0, REVOKED) },
	{ IF(R0, 1, "leave") },
	SECTION,
	{ STORE(BUSY, 0), AT("leave") },
	{ END, AT("end") },
};

/* keep_owners_out() makes no barrier if no thread owns the cache. */
static const struct instruction revoker_with_optional_barrier[] = {
	{ LOCK(LOCKED) },
	{ SWAP(REVOKED, 1) },
	{ LOAD(R0, OWNER) },
	{ IF(R0, NOBODY, "stopped") },
	{ DRAIN },
	{ WAIT(BUSY, 0) },
	{ GHOST(OP_ENTER), AT("stopped") },
	{ LOAD(R0, DATA) },
	{ COPY(DATA, R0, 1) },
	{ GHOST(OP_LEAVE) },
	{ STORE(REVOKED, 0) },
	{ UNLOCK(LOCKED) },
	{ END },
};

#define COUNTED .counter_var = DATA, .final_var = BUSY, .final_values = 1

const struct protocol biased_protocols[] = {
	{ "biased lock", NULL, { owner, revoker }, COUNTED },
	{ "biased lock, two threads revoke it", NULL, { owner, revoker, revoker }, COUNTED },
	{ "biased lock", "there is no barrier", { owner, revoker_without_barrier }, COUNTED },
	{ "biased lock", "the barrier precedes the store to REVOKED", { owner, revoker_with_early_barrier }, COUNTED },
	{ "biased lock", "the revoker does not wait for the owner", { owner, revoker_without_wait }, COUNTED },
	{ "biased lock",
	  "the owner reads REVOKED before it writes BUSY",
	  { owner_that_reads_first, revoker },
	  COUNTED },
	{ "biased lock without membarrier", NULL, { fenced_owner, revoker_without_barrier }, COUNTED },
	{ "biased lock without membarrier",
	  "the owner executes no fence",
	  { owner, revoker_without_barrier },
	  COUNTED },
	{ "biased lock, membarrier refused later", NULL, { changing_owner, refused_revoker }, COUNTED },
	{ "biased lock, membarrier refused later",
	  "the owner reads FENCED before it writes BUSY",
	  { changing_owner_that_reads_early, refused_revoker },
	  COUNTED },
	{ "biased lock, membarrier refused later",
	  "the revoker does not sleep",
	  { changing_owner, refused_revoker_without_sleep },
	  COUNTED },
	{ "biased lock, membarrier refused later for two locks",
	  NULL,
	  { changing_owner, refused_revoker, refused_elsewhere },
	  COUNTED },
	{ "biased lock, membarrier refused later for two locks",
	  "the revoker does not sleep while the thread that told the owners does",
	  { changing_owner, refused_revoker_that_trusts_fenced, refused_elsewhere },
	  COUNTED },
	{ "a cache changes its owner",
	  NULL,
	  { ending_owner, adopter, revoker_with_optional_barrier },
	  { [OWNER] = SOMEBODY },
	  COUNTED },
	{ "a cache changes its owner",
	  "the thread gives up its seat while it uses the cache",
	  { owner_that_leaves_early, adopter, revoker_with_optional_barrier },
	  { [OWNER] = SOMEBODY },
	  COUNTED },
};
/* clang-format on */
const unsigned int biased_count = sizeof(biased_protocols) / sizeof(biased_protocols[0]);
