/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "progress.h"
#include "text.h"
#include "zpoolctl.h"

__attribute__((format(printf, 1, 0))) static char *compose(const char *format, va_list args)
{
	char *message, *safe;

	if (vasprintf(&message, format, args) < 0)
		out_of_memory();
	safe = text_escape(message);
	free(message);
	return safe;
}

void warn(const char *format, ...)
{
	va_list args;
	char *message;

	va_start(args, format);
	message = compose(format, args);
	va_end(args);
	progress_hide();
	fflush(stdout); /* keeps the order of the two streams on one terminal */
	fprintf(stderr, "zpoolctl: %s\n", message);
	free(message);
}

void usage_error(const struct argp_state *state, const char *format, ...)
{
	va_list args;
	char *message;

	va_start(args, format);
	message = compose(format, args);
	va_end(args);
	argp_error(state, "%s", message);
	free(message);
}

void out_of_memory(void)
{
	progress_hide();
	fputs("zpoolctl: out of memory\n", stderr);
	exit(STATUS_FAILED);
}
