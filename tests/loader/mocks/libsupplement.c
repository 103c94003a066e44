/* SPDX-License-Identifier: MIT
 *
 * This library defines the symbol that the mock undefined lacks.
 */
#include "zpool.h"

ZPOOL_PUBLIC int mock_missing_function(void);

int mock_missing_function(void)
{
	return 0;
}
