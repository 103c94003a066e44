/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "base/text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "zpool.h"

/* Room for the longest piece, "\U0010ffff", with its NUL. */
enum { PIECE_BYTES = 12 };

/*
 * Returns the code point that begins here, and the number of its bytes. The number is 0 if this is not UTF-8, which
 * includes overlong forms, surrogates and values above U+10FFFF.
 */
static size_t decode(const unsigned char *at, uint32_t *point)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t bytes = at[0] < 0x80 ? 1 : at[0] < 0xc0 ? 0 : at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : at[0] < 0xf8 ? 4 : 0;

	if (bytes == 0)
		return 0;
	*point = bytes == 1 ? at[0] : at[0] & (0x7fu >> bytes);
	for (size_t i = 1; i < bytes; i++) {
		/* The string's NUL is not a continuation byte, so this never reads past the end. */
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*point = *point << 6 | (at[i] & 0x3f);
	}
	if (*point < least[bytes] || *point > 0x10ffff || (*point >= 0xd800 && *point <= 0xdfff))
		return 0;
	return bytes;
}

/* Returns true if the character is invisible and acts on a terminal or on the surrounding text. */
static bool is_unsafe(uint32_t point)
{
	static const struct {
		uint32_t first, last;
	} ranges[] = {
		{ 0x00, 0x1f },       /* C0 controls, including ESC */
		{ 0x7f, 0x9f },       /* DEL and the C1 controls, including CSI */
		{ 0xad, 0xad },       /* soft hyphen */
		{ 0x61c, 0x61c },     /* Arabic letter mark */
		{ 0x180e, 0x180e },   /* Mongolian vowel separator */
		{ 0x200b, 0x200b },   /* zero width space */
		{ 0x200e, 0x200f },   /* left-to-right and right-to-left mark */
		{ 0x2028, 0x202e },   /* line and paragraph separators, embeddings and overrides of direction */
		{ 0x2060, 0x206f },   /* word joiner, invisible operators, isolates of direction */
		{ 0xfdd0, 0xfdef },   /* noncharacters */
		{ 0xfeff, 0xfeff },   /* byte order mark */
		{ 0xfff0, 0xfffb },   /* annotations */
		{ 0xe0000, 0xe0fff }, /* tags */
	};

	for (size_t i = 0; i < sizeof(ranges) / sizeof(*ranges); i++)
		if (point >= ranges[i].first && point <= ranges[i].last)
			return true;
	return (point & 0xfffe) == 0xfffe; /* the last two code points of each plane are noncharacters */
}

/* Writes the output for the bytes at `at`, and returns the number of bytes that it represents. */
static size_t next_piece(const unsigned char *at, char piece[PIECE_BYTES])
{
	static const char controls[] = "\n\t\r", letters[] = "ntr";
	uint32_t point;
	size_t bytes = decode(at, &point);

	if (bytes == 0) {
		(void)snprintf(piece, PIECE_BYTES, "\\x%02x", at[0]);
		return 1;
	}
	if (!is_unsafe(point)) {
		memcpy(piece, at, bytes);
		piece[bytes] = '\0';
		return bytes;
	}
	const char *control = point < 0x80 ? strchr(controls, (int)point) : NULL;
	if (control)
		(void)snprintf(piece, PIECE_BYTES, "\\%c", letters[control - controls]);
	else if (point < 0x80)
		(void)snprintf(piece, PIECE_BYTES, "\\x%02x", (unsigned int)point);
	else
		(void)snprintf(piece, PIECE_BYTES, point > 0xffff ? "\\U%08x" : "\\u%04x", (unsigned int)point);
	return bytes;
}

size_t zpool_escape(char *buf, size_t size, const char *text)
{
	const unsigned char *at = (const unsigned char *)(text ? text : "");
	size_t length = 0, written = 0;
	char piece[PIECE_BYTES];

	while (*at) {
		at += next_piece(at, piece);
		size_t bytes = strlen(piece);
		/* Only whole pieces are written, because a truncated escape could be taken for something else. */
		if (written == length && length + bytes < size) {
			memcpy(buf + length, piece, bytes);
			written += bytes;
		}
		length += bytes;
	}
	if (size > 0)
		buf[written] = '\0';
	return length;
}

static bool is_plain(const char *text)
{
	for (; *text; text++)
		if (*text < ' ' || *text > '~')
			return false;
	return true;
}

char *zp_text_escape(char *text)
{
	if (is_plain(text))
		return text;
	size_t bytes = zpool_escape(NULL, 0, text) + 1;
	char *escaped = malloc(bytes);
	if (escaped)
		(void)zpool_escape(escaped, bytes, text);
	free(text);
	return escaped;
}
