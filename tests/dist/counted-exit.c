/* SPDX-License-Identifier: MIT
 *
 * counted-exit.c - write the counters of a coverage build before _exit()
 *
 * The compiler's runtime writes them in exit() only, so without this the work of child processes, which must not run the
 * exit handlers of their parent, would not be counted. The linker replaces _exit() by this function (--wrap).
 */
#include <config.h>

void __real__exit(int status) __attribute__((noreturn));
void __wrap__exit(int status) __attribute__((noreturn));
void __gcov_dump(void);

void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
