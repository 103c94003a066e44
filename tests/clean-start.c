/* SPDX-License-Identifier: MIT
 *
 * clean-start PROGRAM [ARGUMENT...] - run a test as a login shell would start it
 *
 * The program that runs the tests may pass on ignored signals (nohup(1), background jobs of a script, Python), blocked
 * signals, or closed standard descriptors. A shell cannot undo the first two.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	sigset_t none;

	if (argc < 2) {
		fprintf(stderr, "usage: clean-start PROGRAM [ARGUMENT...]\n");
		return 2;
	}
	for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
			(void)open("/dev/null", O_RDWR);
	/* SIGKILL and SIGSTOP cannot be set, and neither can the two signals that the C library reserves. */
	for (int number = 1; number <= SIGRTMAX; number++)
		(void)signal(number, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execvp(argv[1], argv + 1);
	fprintf(stderr, "clean-start: %s: %s\n", argv[1], strerror(errno));
	return 127;
}
