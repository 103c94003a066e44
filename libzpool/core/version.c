/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "zpool.h"

const char *zpool_version(void)
{
	return ZPOOL_VERSION;
}
