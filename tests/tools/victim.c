/* SPDX-License-Identifier: MIT
 *
 * victim FIFO: a process whose memory zpoolctl store reads. It writes a line to FIFO when all its memory is prepared,
 * and waits.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TEXT_BYTES ((size_t)4 << 20)
#define WORDS_BYTES ((size_t)2 << 20)
#define UNTOUCHED_BYTES ((size_t)64 << 20)

static char *text;
static uint64_t *words;
static void *untouched;

int main(int argc, char **argv)
{
	FILE *ready;

	if (argc != 2)
		return 2;
	text = malloc(TEXT_BYTES);
	words = malloc(WORDS_BYTES);
	untouched = malloc(UNTOUCHED_BYTES);
	if (!text || !words || !untouched)
		return 1;
	for (size_t at = 0; at + 32 < TEXT_BYTES; at += 32)
		snprintf(text + at, 33, "line %26zu\n", at);
	for (size_t i = 0; i < WORDS_BYTES / sizeof(*words); i++)
		words[i] = UINT64_C(0x1122334455667788);
	ready = fopen(argv[1], "w");
	if (!ready)
		return 1;
	fputs("ready\n", ready);
	fclose(ready);
	for (;;)
		pause();
}
