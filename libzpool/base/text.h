/* SPDX-License-Identifier: MIT
 *
 * text.h - text that came from a file, a driver or a caller, made safe to show
 */
#ifndef ZP_BASE_TEXT_H
#define ZP_BASE_TEXT_H 1

/*
 * Takes a string on the heap and gives it back as zpool_escape() would write it: the same string where there is nothing
 * to escape, which is nearly always so, else a new one.  NULL: out of memory; the string is freed.
 */
char *zp_text_escape(char *text);

#endif
