/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <langinfo.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>

#include <zpool.h>

#include "message.h"
#include "text.h"

static bool locale_is_utf8(void)
{
	return !strcmp(nl_langinfo(CODESET), "UTF-8");
}

/* The terminal may take a byte of a multibyte character, such as 0x9b, for a control character. */
static char *escape_to_ascii(const char *text)
{
	char *ascii = malloc(4 * strlen(text) + 1), *to = ascii;

	if (!ascii)
		out_of_memory();
	for (; *text; text++)
		to += sprintf(to, *text & 0x80 ? "\\x%02x" : "%c", (unsigned char)*text);
	*to = '\0';
	return ascii;
}

char *text_escape(const char *text)
{
	size_t bytes = zpool_escape(NULL, 0, text) + 1;
	char *safe = malloc(bytes);
	char *ascii;

	if (!safe)
		out_of_memory();
	zpool_escape(safe, bytes, text);
	if (locale_is_utf8())
		return safe;
	ascii = escape_to_ascii(safe);
	free(safe);
	return ascii;
}

void text_end(FILE *stream, char *const *text)
{
	bool failed = ferror(stream);

	if (fclose(stream) || failed || !*text)
		out_of_memory();
}

void text_print(FILE *to, const char *text)
{
	char *safe = text_escape(text);

	fputs(safe, to);
	free(safe);
}

size_t text_next(const char *text, size_t *columns)
{
	mbstate_t state = { 0 };
	wchar_t wide;
	size_t bytes = mbrtowc(&wide, text, MB_CUR_MAX, &state);
	int width;

	*columns = 1;
	if (bytes == 0 || bytes > MB_CUR_MAX)
		return 1;
	width = wcwidth(wide);
	if (width >= 0)
		*columns = (size_t)width;
	return bytes;
}

size_t text_columns(const char *text)
{
	size_t sum = 0, columns;

	while (*text) {
		text += text_next(text, &columns);
		sum += columns;
	}
	return sum;
}
