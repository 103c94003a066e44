/* SPDX-License-Identifier: MIT
 *
 * text.h - make text from a file, a driver or a caller safe to display
 */
#ifndef ZP_BASE_TEXT_H
#define ZP_BASE_TEXT_H 1

/*
 * Takes a heap string and returns it as zpool_escape() would write it: the same string if there is nothing to escape,
 * which is nearly always the case, or else a new one. Returns NULL if memory runs out; the string is freed then.
 */
char *zp_text_escape(char *text);

#endif
