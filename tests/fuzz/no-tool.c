/* SPDX-License-Identifier: MIT
 *
 * no-tool.c - what the parsers of zpoolctl need of the rest of it
 */
#include "config.h"

#include <stdlib.h>

#include "../../tools/message.h"

void warn(const char *format, ...)
{
	(void)format;
}

void out_of_memory(void)
{
	abort();
}
