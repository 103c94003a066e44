/* SPDX-License-Identifier: MIT
 *
 * This mock is faulty: its structure names another type than the file's name and the note.
 */
#define MOCK_TYPE bad_type
#define MOCK_TYPE_TEXT "somebody_else"
#include "mock.h"
