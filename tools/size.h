/* SPDX-License-Identifier: MIT
 *
 * size.h - numbers of bytes and of nanoseconds, as people write and read them
 */
#ifndef SIZE_H
#define SIZE_H 1

#include <stdbool.h>
#include <stdint.h>

/* A decimal number with an optional suffix K, M, G or T (powers of 1024).  false: it is none, or too large. */
bool size_parse(const char *text, uint64_t *bytes);

/* Room for what the two functions below write. */
#define SIZE_TEXT 16

/* "512B", "4K", "1.50M": three digits that count, and no fraction where there is none.  Returns `text`. */
const char *size_format(uint64_t bytes, char text[SIZE_TEXT]);

/* "87ns", "1.25us" */
const char *size_format_ns(double ns, char text[SIZE_TEXT]);

#endif /* SIZE_H */
