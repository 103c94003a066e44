/* SPDX-License-Identifier: MIT
 *
 * fuzz.h - what the fuzzers share
 *
 * Each fuzzer is a function that takes any bytes whatever, LLVMFuzzerTestOneInput(), and one that makes up bytes worth
 * trying.  In make check, fuzz_main() brings the two together some thousand times, from a seed that it prints:
 *
 *     FUZZ_SEED=1234 FUZZ_RUNS=100000 tests/fuzz/elf       other inputs, or more, or the same again
 *     tests/fuzz/elf FILE...                               these inputs
 *
 * For a search that is guided by coverage, let libFuzzer have its own main():
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

/* A small generator (xorshift64*), the same everywhere for the same seed. */
uint64_t fuzz_random(void);

/* From 0 to bound - 1. */
static inline size_t fuzz_below(size_t bound)
{
	return (size_t)(fuzz_random() % bound);
}

enum { FUZZ_MAX_BYTES = 1 << 20 };

/* make: writes an input to buf (FUZZ_MAX_BYTES) and gives its size.  What main() returns. */
int fuzz_main(int argc, char **argv, size_t (*make)(uint8_t *buf));

/* A promise about the result of a run; to break it ends the program. */
#define fuzz_assert(condition)                                                                                         \
	do {                                                                                                           \
		if (!(condition)) {                                                                                    \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition);                  \
			abort();                                                                                       \
		}                                                                                                      \
	} while (0)

#endif
