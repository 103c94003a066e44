/* SPDX-License-Identifier: MIT
 *
 * Fault: it links with libzpool, and calls nothing of it.
 */
#define MOCK_TYPE links_zpool
#include "mock.h"
