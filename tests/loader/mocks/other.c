/* SPDX-License-Identifier: MIT
 *
 * This mock has no fault; tests load it in addition to another mock.
 */
#define MOCK_TYPE other
#include "mock.h"
