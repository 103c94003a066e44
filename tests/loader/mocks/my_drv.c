/* SPDX-License-Identifier: MIT
 *
 * No fault; asked for as my-drv.
 */
#define MOCK_TYPE my_drv
#include "mock.h"
