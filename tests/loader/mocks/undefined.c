/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it needs a symbol that no library defines.
 */
#define MOCK_TYPE undefined
#include "mock.h"

int mock_missing_function(void);
extern ZPOOL_PUBLIC int (*const undefined_function)(void);
int (*const undefined_function)(void) = mock_missing_function;
