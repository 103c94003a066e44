/* SPDX-License-Identifier: MIT
 *
 * counted-exit.c - write the counters of a coverage build before _exit()
 *
 * The compiler's runtime writes them in exit() only, so without this the work of child processes, which must not run the
 * exit handlers of their parent, would not be counted. In such a build, the macro _exit is the name of this function.
 * Only the tool itself is compiled so: cases of the conformance suite end under filters of system calls.
 */
#include <config.h>

#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);

void counted_exit(int status)
{
	__gcov_dump();
	_Exit(status);
}
