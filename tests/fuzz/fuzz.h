/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the fuzzers share
 *
 * Each fuzzer has a function that accepts any bytes, LLVMFuzzerTestOneInput(), and one that generates interesting
 * bytes. In make check, fuzz_main() calls the two some thousand times, with a seed that it prints:
 *
 *     FUZZ_SEED=1234 FUZZ_RUNS=100000 tests/fuzz/elf       runs this many inputs with this seed
 *     tests/fuzz/elf FILE...                               runs these inputs
 *
 * For a search that is guided by coverage, use the main() of libFuzzer:
 *
 *     clang -g -fsanitize=fuzzer,address,undefined -DFUZZ_WITHOUT_MAIN -DHAVE_CONFIG_H -DZPOOL_PLUGINDIR='"/"' \
 *         -I BUILD -I libzpool tests/fuzz/elf.c libzpool/base/[a-z]*.c libzpool/loader/[a-z]*.c \
 *         libzpool/core/[a-z]*.c -lltdl
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H 1

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A small generator (xorshift64*) that gives the same numbers everywhere for the same seed. */
uint64_t fuzz_random(void);

/* Returns a number from 0 to bound - 1. */
static inline size_t fuzz_below(size_t bound)
{
	return (size_t)(fuzz_random() % bound);
}

enum { FUZZ_MAX_BYTES = 1 << 20 };

/*
 * Runs the fuzzer. make() writes an input of at most FUZZ_MAX_BYTES to buf and returns its size. Returns the exit
 * status.
 */
int fuzz_main(int argc, char **argv, size_t (*make)(uint8_t *buf));

/* Ends the program if a promise about the result of a run does not hold. */
#define fuzz_assert(condition)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                  \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
