/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault; tests request it as my-drv.
 */
#define MOCK_TYPE my_drv
#include "mock.h"
