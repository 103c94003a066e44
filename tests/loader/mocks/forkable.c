/* SPDX-License-Identifier: MIT
 *
 * This mock supports fork(): its pools can be used in a forked child.
 */
#define MOCK_TYPE forkable
#define MOCK_MORE , .fork = mock_fork, .obj_size = mock_obj_size
#include "mock.h"
