/* SPDX-License-Identifier: MIT
 *
 * documents.h - JSON documents, which have much in common with each other and little within themselves
 */
#ifndef TESTS_STORE_DOCUMENTS_H
#define TESTS_STORE_DOCUMENTS_H 1

#include <stddef.h>
#include <stdint.h>

/*
 * Writes the document with a number, of at most `room` bytes, and returns its length.  It is a few records for a room
 * of 512 bytes, and many for a larger one.  Documents of another kind have other names and words.
 */
size_t document_make(unsigned char *to, size_t room, unsigned int kind, uint64_t number);

#endif
