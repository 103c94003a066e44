/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its note names another type than its structure.
 */
#define MOCK_TYPE bad_note_type
#define MOCK_NOTE_TYPE somebody_else
#include "mock.h"
