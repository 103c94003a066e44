/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "preload.h"

#ifdef ZPOOLCTL_PRELOAD
#include <ltdl.h>

#pragma GCC diagnostic ignored "-Wnested-externs" /* the macro of libltdl expands to nested declarations */

void preload_drivers(void)
{
	LTDL_SET_PRELOADED_SYMBOLS();
}
#else
void preload_drivers(void)
{
}
#endif
