/* SPDX-License-Identifier: MIT
 *
 * Fault: the structure is of another type than the file's name and the note.
 */
#define MOCK_TYPE bad_type
#define MOCK_TYPE_TEXT "somebody_else"
#include "mock.h"
