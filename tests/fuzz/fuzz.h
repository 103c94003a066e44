/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the fuzz targets share
 *
 * A target is a file with LLVMFuzzerTestOneInput(), which accepts any bytes and aborts if a promise does not hold, and
 * with a description of itself, fuzz_target.  It is linked in one of two ways:
 *
 * - with main.c, by any compiler.  That program runs the target's corpus, and then some generated inputs with a seed
 *   that it prints.  `make check' does this.
 *       tests/fuzz/elf                                       runs the corpus, then generated inputs
 *       tests/fuzz/elf FILE-OR-DIRECTORY...                  runs these inputs
 *       FUZZ_VERBOSE=1 tests/fuzz/ops FILE                   prints each operation
 *       FUZZ_SEED=1234 FUZZ_RUNS=100000 tests/fuzz/elf       generates this many inputs from this seed
 * - with a fuzzing engine, where configure was given LIB_FUZZING_ENGINE.  `make fuzz' and `make fuzz-afl' do this.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { FUZZ_MAX_BYTES = 1 << 20 };

/*
 * name       the directory of the target's corpus, in tests/fuzz/corpus
 * runs       how many inputs main.c generates if FUZZ_RUNS does not say
 * start      called once before the first input; may be NULL
 * generate   writes an input of at most FUZZ_MAX_BYTES to `buf' and returns its size; NULL: main.c changes inputs of
 *            the corpus at random
 */
struct fuzz_target {
	const char *name;
	uint64_t runs;
	void (*start)(void);
	size_t (*generate)(uint8_t *buf);
};
extern const struct fuzz_target fuzz_target;

/* A small generator (xorshift64*) that gives the same numbers everywhere for the same seed. */
void fuzz_seed(uint64_t seed);
uint64_t fuzz_random(void);

/* Returns a number from 0 to bound - 1. */
static inline size_t fuzz_below(size_t bound)
{
	return (size_t)(fuzz_random() % bound);
}

/* Ends the program if a promise does not hold. */
#define fuzz_assert(condition)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                  \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* The same, with a message for printf(3). */
#define fuzz_check(condition, ...)                                                                                     \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s does not hold: ", __FILE__, __LINE__, #condition);                  \
			fprintf(stderr, __VA_ARGS__);                                                                  \
			fputc('\n', stderr);                                                                           \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

/* Prints what a target does, as printf(3), if the environment variable FUZZ_VERBOSE is set. */
void fuzz_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* ------------------------------------------------------------------------------------------------------------------
 * Decisions that a target takes from its input, byte by byte, so that a small change of the input changes one decision
 */

struct fuzz_input {
	const uint8_t *at, *end;
};

static inline bool fuzz_ended(const struct fuzz_input *input)
{
	return input->at == input->end;
}

/* Returns the next byte, or 0 at the end. */
static inline uint8_t fuzz_byte(struct fuzz_input *input)
{
	return fuzz_ended(input) ? 0 : *input->at++;
}

/* Returns a little-endian number. */
static inline uint64_t fuzz_number(struct fuzz_input *input, unsigned int bytes)
{
	uint64_t number = 0;

	for (unsigned int i = 0; i < bytes; i++)
		number |= (uint64_t)fuzz_byte(input) << 8 * i;
	return number;
}

/* Returns a number from 0 to bound - 1; bound is at most 256. */
static inline unsigned int fuzz_choose(struct fuzz_input *input, unsigned int bound)
{
	return fuzz_byte(input) % bound;
}

/* Makes up to `bytes' bytes of the input a separate input. */
static inline struct fuzz_input fuzz_part(struct fuzz_input *input, size_t bytes)
{
	size_t left = (size_t)(input->end - input->at);
	struct fuzz_input part = { input->at, input->at + (bytes < left ? bytes : left) };

	input->at = part.end;
	return part;
}

/* Fills a buffer with bytes that follow from the seed; a number with its low bit set gives bytes that repeat. */
void fuzz_fill(void *buf, size_t bytes, uint32_t seed);

#endif
