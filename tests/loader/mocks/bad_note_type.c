/* SPDX-License-Identifier: MIT
 *
 * Fault: the note tells of another type than the structure.
 */
#define MOCK_TYPE bad_note_type
#define MOCK_NOTE_TYPE somebody_else
#include "mock.h"
