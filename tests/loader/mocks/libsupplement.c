/* SPDX-License-Identifier: MIT
 *
 * A library with the symbol that undefined lacks.
 */
#include "zpool.h"

ZPOOL_PUBLIC int mock_missing_function(void);

int mock_missing_function(void)
{
	return 0;
}
