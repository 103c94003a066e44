/* SPDX-License-Identifier: MIT
 *
 * counted-exit.c - write the counters of a coverage build before _exit() and raise()
 *
 * The compiler's runtime writes them in exit() only, so without this the work of child processes, which must not run
 * the exit handlers of their parent, and of signal handlers would not be counted. In such a build, the macros _exit and
 * raise are the names of these functions. Only the tool itself is compiled so: cases of the conformance suite end under
 * filters of system calls.
 */
#include <config.h>

#undef raise
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

void __gcov_dump(void);
void __gcov_reset(void);
int counted_raise(int number);

void counted_exit(int status)
{
	__gcov_dump();
	_Exit(status);
}

int counted_raise(int number)
{
	__gcov_dump();
	__gcov_reset();
	return raise(number);
}
