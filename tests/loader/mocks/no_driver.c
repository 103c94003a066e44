/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: it exports no driver.
 */
#define MOCK_TYPE no_driver
#define MOCK_NO_DRIVER 1
#include "mock.h"
