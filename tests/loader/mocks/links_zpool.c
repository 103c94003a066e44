/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it links with libzpool, although it calls none of its functions.
 */
#define MOCK_TYPE links_zpool
#include "mock.h"
