/* SPDX-License-Identifier: MIT
 *
 * handles.c - pinning, moving and freeing an object, and exclusive pins (libzpool/support/handles.h)
 */
#include <config.h>

#include "protocols.h"

/*
 * WORD is the slot's word of the handle table.  SLOT_A and SLOT_B are the two places for the object, and hold its
 * contents.
 */
enum { WORD, SLOT_A, SLOT_B };
/* Exclusive pins also use the biased lock of the pinning thread's cache. */
enum { BUSY = 1, REVOKED = 2, LOCKED = 3 };

/* The states of the word: dead, or live in one of the two places, with or without a pin. */
enum { DEAD, IN_A, IN_A_PINNED, IN_B, IN_B_PINNED, MOVING };
/* The states with exclusive pins, where the object has only one place. */
enum { LIVE = 1, PINNED = 2, PINNED_TWICE = 3, EXCLUSIVE = 6 };
enum { CONTENTS = 7, RUBBISH = 9 };

/* clang-format off: a line for each instruction */

/* ---- pin, move and free ---- */

static const struct instruction reader[] = {
	{ LOAD(R0, WORD), AT("pin") },
	{ IF(R0, IN_A, "a") },
	{ IF(R0, IN_B, "b") },
	{ IF(R0, DEAD, "end") },
	{ GOTO("pin") },
	{ CAS(WORD, R0, IN_A_PINNED - IN_A, "pin"), AT("a") },
	{ GHOST(OP_MAPPED) },
	{ LOAD(R1, SLOT_A) },
	{ CHECK(R1, CONTENTS) },
	{ LOAD(R1, SLOT_A) },
	{ CHECK(R1, CONTENTS) },
	{ GHOST(OP_UNMAPPED) },
	{ SET(R0, IN_A_PINNED) },
	{ CAS(WORD, R0, IN_A - IN_A_PINNED, "lost") },
	{ GOTO("end") },
	{ CAS(WORD, R0, IN_B_PINNED - IN_B, "pin"), AT("b") },
	{ GHOST(OP_MAPPED) },
	{ LOAD(R1, SLOT_B) },
	{ CHECK(R1, CONTENTS) },
	{ GHOST(OP_UNMAPPED) },
	{ SET(R0, IN_B_PINNED) },
	{ CAS(WORD, R0, IN_B - IN_B_PINNED, "lost") },
	{ GOTO("end") },
	{ CHECK(R0, RUBBISH), AT("lost") }, /* never reached if the thread's pin still counts */
	{ END, AT("end") },
};

/* Moves the object from A to B if it is not pinned; A then belongs to another object. */
static const struct instruction mover[] = {
	{ SET(R0, IN_A) },     { CAS(WORD, R0, MOVING - IN_A, "end") },
	{ LOAD(R1, SLOT_A) },  { COPY(SLOT_B, R1, 0) },
	{ STORE(WORD, IN_B) }, { STORE(SLOT_A, RUBBISH) },
	{ END, AT("end") },
};

static const struct instruction mover_who_publishes_early[] = {
	{ SET(R0, IN_A) },       { CAS(WORD, R0, MOVING - IN_A, "end") },
	{ LOAD(R1, SLOT_A) },    { STORE(WORD, IN_B) },
	{ COPY(SLOT_B, R1, 0) }, { STORE(SLOT_A, RUBBISH) },
	{ END, AT("end") },
};

static const struct instruction mover_without_mark[] = {
	{ LOAD(R0, WORD) },    { UNLESS(R0, IN_A, "end") }, { LOAD(R1, SLOT_A) }, { COPY(SLOT_B, R1, 0) },
	{ STORE(WORD, IN_B) }, { STORE(SLOT_A, RUBBISH) },  { END, AT("end") },
};

/* Frees the object.  Free refuses a mapped object, and waits for the end of a move. */
static const struct instruction freer[] = {
	{ LOAD(R0, WORD), AT("free") },
	{ IF(R0, IN_A, "a") },
	{ IF(R0, IN_B, "b") },
	{ UNLESS(R0, MOVING, "end") },
	{ GOTO("free") },
	{ CAS(WORD, R0, DEAD - IN_A, "free"), AT("a") },
	{ GHOST(OP_FREED) },
	{ STORE(SLOT_A, RUBBISH) },
	{ GOTO("end") },
	{ CAS(WORD, R0, DEAD - IN_B, "free"), AT("b") },
	{ GHOST(OP_FREED) },
	{ STORE(SLOT_B, RUBBISH) },
	{ END, AT("end") },
};

static const struct instruction freer_without_atomic_operation[] = {
	{ LOAD(R0, WORD) },  { UNLESS(R0, IN_A, "end") }, { STORE(WORD, DEAD) },
	{ GHOST(OP_FREED) }, { STORE(SLOT_A, RUBBISH) },  { END, AT("end") },
};

/* ---- exclusive pins ---- */

/* Maps the object for writing only, and unmaps it with a plain store inside the biased lock of the cache. */
static const struct instruction writer[] = {
	{ SET(R0, LIVE) },
	{ CAS(WORD, R0, EXCLUSIVE - LIVE, "end") },
	{ GHOST(OP_MAPPED) },
	{ GHOST(OP_UNMAPPED) },
	{ STORE(BUSY, 1) },
	{ LOAD(R0, REVOKED) },
	{ IF(R0, 1, "kept out") },
	{ LOAD(R0, WORD) },
	{ UNLESS(R0, EXCLUSIVE, "kept out") },
	{ STORE(WORD, LIVE) },
	{ STORE(BUSY, 0) },
	{ GOTO("end") },
	{ STORE(BUSY, 0), AT("kept out") },
	{ LOAD(R0, WORD), AT("unpin") },
	{ IF(R0, EXCLUSIVE, "exclusive") },
	{ CAS(WORD, R0, -1, "unpin") },
	{ GOTO("end") },
	{ CAS(WORD, R0, LIVE - EXCLUSIVE, "unpin"), AT("exclusive") },
	{ END, AT("end") },
};

/* Ends the pin outside of the biased lock. */
static const struct instruction careless_writer[] = {
	{ SET(R0, LIVE) },
	{ CAS(WORD, R0, EXCLUSIVE - LIVE, "end") },
	{ GHOST(OP_MAPPED) },
	{ GHOST(OP_UNMAPPED) },
	{ LOAD(R0, WORD), AT("unpin") },
	{ UNLESS(R0, EXCLUSIVE, "shared") },
	{ STORE(WORD, LIVE) },
	{ GOTO("end") },
	{ CAS(WORD, R0, -1, "unpin"), AT("shared") },
	{ END, AT("end") },
};

/* Maps the same object.  It first turns an exclusive pin into a shared one: zp_handles_share() with caches stopped. */
#define SHARER(barrier_)                                                                                               \
	{ LOAD(R0, WORD), AT("pin") }, { IF(R0, DEAD, "end") }, { IF(R0, EXCLUSIVE, "share") },                        \
		{ CAS(WORD, R0, 1, "pin") }, { GHOST(OP_MAPPED) }, { GHOST(OP_UNMAPPED) },                             \
		{ LOAD(R0, WORD), AT("unpin") }, { CAS(WORD, R0, -1, "unpin") }, { GOTO("end") },                      \
		{ LOCK(LOCKED), AT("share") }, { SWAP(REVOKED, 1) }, { barrier_ }, { WAIT(BUSY, 0) },                  \
		{ SET(R0, EXCLUSIVE) }, { CAS(WORD, R0, PINNED - EXCLUSIVE, "resume") },                               \
		{ STORE(REVOKED, 0), AT("resume") }, { UNLOCK(LOCKED) }, { GOTO("pin") },                              \
	{                                                                                                              \
		END, AT("end")                                                                                         \
	}

static const struct instruction sharer[] = { SHARER(DRAIN) };
static const struct instruction sharer_without_barrier[] = { SHARER(SET(R1, 0)) };

static const struct instruction exclusive_freer[] = {
	{ SET(R0, LIVE) },
	{ CAS(WORD, R0, DEAD - LIVE, "end") },
	{ GHOST(OP_FREED) },
	{ END, AT("end") },
};

#define OBJECT_IN_A                                                                                                    \
	.memory = { [WORD] = IN_A, [SLOT_A] = CONTENTS }, .counter_var = -1, .final_var = WORD,                        \
	.final_values = 1 << DEAD | 1 << IN_A | 1 << IN_B
#define OBJECT .memory = { [WORD] = LIVE }, .counter_var = -1, .final_var = WORD, .final_values = 1 << DEAD | 1 << LIVE

const struct protocol handle_protocols[] = {
	{ "pin, move and free", NULL, { reader, mover, freer }, OBJECT_IN_A },
	{ "pin and move", NULL, { reader, mover }, OBJECT_IN_A },
	{ "pin and move",
	  "the mover publishes the word before the bytes",
	  { reader, mover_who_publishes_early },
	  OBJECT_IN_A },
	{ "pin and move", "the mover does not mark the word", { reader, mover_without_mark }, OBJECT_IN_A },
	{ "pin and free",
	  "the word is not changed atomically",
	  { reader, freer_without_atomic_operation },
	  OBJECT_IN_A },
	{ "exclusive pin", NULL, { writer, sharer, exclusive_freer }, OBJECT },
	{ "exclusive pin", "there is no barrier", { writer, sharer_without_barrier, exclusive_freer }, OBJECT },
	{ "exclusive pin",
	  "the pin ends outside of the biased lock",
	  { careless_writer, sharer, exclusive_freer },
	  OBJECT },
};
/* clang-format on */
const unsigned int handle_count = sizeof(handle_protocols) / sizeof(handle_protocols[0]);
