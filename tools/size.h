/* SPDX-License-Identifier: MIT
 *
 * size.h - parse and format numbers of bytes and nanoseconds
 */
#ifndef SIZE_H
#define SIZE_H 1

#include <stdbool.h>
#include <stdint.h>

/*
 * Parses a decimal number with an optional suffix K, M, G or T (powers of 1024). Returns false if the text is not valid
 * or the number is too large.
 */
bool size_parse(const char *text, uint64_t *bytes);

/* The buffer size for the two functions below. */
#define SIZE_TEXT 16

/*
 * Writes a size such as "512B", "4K" or "1.50M": three significant digits, and no fraction for a whole number. Returns
 * `text`.
 */
const char *size_format(uint64_t bytes, char text[SIZE_TEXT]);

/* Writes a time such as "87ns" or "1.25us". */
const char *size_format_ns(double ns, char text[SIZE_TEXT]);

#endif /* SIZE_H */
