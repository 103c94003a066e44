/* SPDX-License-Identifier: MIT
 *
 * Fault: it needs a symbol that nothing has.
 */
#define MOCK_TYPE undefined
#include "mock.h"

int mock_missing_function(void);
extern ZPOOL_PUBLIC int (*const undefined_function)(void);
int (*const undefined_function)(void) = mock_missing_function;
