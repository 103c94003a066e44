/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "message.h"
#include "progress.h"
#include "zpoolctl.h"

void say(const char *format, ...)
{
	va_list args;

	progress_hide();
	fflush(stdout); /* so that both streams on one terminal stay in order */
	fputs("zpoolctl: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
}

void out_of_memory(void)
{
	say("out of memory");
	exit(STATUS_FAILED);
}
