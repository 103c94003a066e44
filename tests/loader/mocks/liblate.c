/* SPDX-License-Identifier: MIT
 *
 * This is the library that needs_late needs.
 */
#include "zpool.h"

ZPOOL_PUBLIC int late_function(void);

int late_function(void)
{
	return 0;
}
