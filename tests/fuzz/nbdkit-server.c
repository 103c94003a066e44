/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "fuzz.h"
#include "nbdkit-server.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>

#include "../../hosts/nbdkit/nbdkit.h"

unsigned int nbdkit_server_errors;
int nbdkit_server_errno;

__attribute__((format(printf, 1, 0))) static void format_text(const char *format, va_list args)
{
	char text[512];

	fuzz_assert(vsnprintf(text, sizeof(text), format, args) >= 0);
}

__attribute__((format(printf, 1, 2))) void nbdkit_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_text(format, args);
	va_end(args);
	nbdkit_server_errors++;
}

__attribute__((format(printf, 1, 2))) void nbdkit_debug(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	format_text(format, args);
	va_end(args);
}

void nbdkit_set_error(int err)
{
	nbdkit_server_errno = err;
}

static int refuse(const char *text)
{
	nbdkit_error("\"%s\" is not valid", text);
	return -1;
}

int64_t nbdkit_parse_size(const char *text)
{
	static const char units[] = "bKMGTPE";
	const char *unit;
	char *end;
	unsigned long long number;
	unsigned int shift;

	errno = 0;
	number = strtoull(text, &end, 10);
	if (end == text || errno || !isdigit((unsigned char)*text))
		return refuse(text);
	unit = *end ? strchr(units, *end) : units;
	if (!unit || (*end && end[1]))
		return refuse(text);
	shift = (unsigned int)(unit - units) * 10;
	return number > (unsigned long long)INT64_MAX >> shift ? refuse(text) : (int64_t)(number << shift);
}

int nbdkit_parse_unsigned(const char *what, const char *text, unsigned int *number)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	(void)what;
	if (end == text || *end || value > UINT32_MAX)
		return refuse(text);
	*number = (unsigned int)value;
	return 0;
}

int nbdkit_parse_uint64_t(const char *what, const char *text, uint64_t *number)
{
	char *end;
	unsigned long long value = strtoull(text, &end, 10);

	(void)what;
	if (end == text || *end || !isdigit((unsigned char)*text))
		return refuse(text);
	*number = value;
	return 0;
}

int nbdkit_parse_bool(const char *text)
{
	if (!strcmp(text, "yes") || !strcmp(text, "1"))
		return 1;
	return !strcmp(text, "no") || !strcmp(text, "0") ? 0 : refuse(text);
}

char *nbdkit_absolute_path(const char *path)
{
	return strdup(path);
}

char *nbdkit_realpath(const char *path)
{
	fuzz_assert(!strcmp(path, "."));
	return strdup("/directory");
}

int nbdkit_add_extent(struct nbdkit_extents *extents, uint64_t offset, uint64_t length, uint32_t type)
{
	fuzz_assert(length > 0 && offset == extents->at && length <= extents->end - offset);
	extents->visit(extents->user, offset, length, type);
	extents->at += length;
	extents->count++;
	return 0;
}
