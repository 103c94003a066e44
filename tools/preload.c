/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "preload.h"

#ifdef ZPOOLCTL_PRELOAD
#include <ltdl.h>

#pragma GCC diagnostic ignored "-Wnested-externs" /* what libltdl's macro expands to */

void preload_drivers(void)
{
	LTDL_SET_PRELOADED_SYMBOLS();
}
#else
void preload_drivers(void)
{
}
#endif
