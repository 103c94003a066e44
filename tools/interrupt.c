/* SPDX-License-Identifier: MIT */
#include <config.h>

#include <stddef.h>
#include <unistd.h>

#include "interrupt.h"

static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
#define SIGNAL_COUNT (sizeof(signals) / sizeof(signals[0]))

static volatile sig_atomic_t child_pid;
static volatile sig_atomic_t line_shown;

/*
 * Only async-signal-safe calls are allowed here. SA_RESETHAND has restored the default action, so the raised signal
 * ends the process when the handler returns.
 */
static void leave(int number)
{
	static const char wipe[] = "\r\033[K";

	if (child_pid)
		kill((pid_t)child_pid, SIGKILL);
	if (line_shown && write(STDERR_FILENO, wipe, sizeof(wipe) - 1) < 0)
		line_shown = 0;
	raise(number);
}

void interrupt_handle(void)
{
	struct sigaction action = { .sa_handler = leave, .sa_flags = (int)SA_RESETHAND };
	struct sigaction previous;

	sigfillset(&action.sa_mask);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		if (!sigaction(signals[i], NULL, &previous) && previous.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

void interrupt_default(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	struct sigaction previous;

	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		if (!sigaction(signals[i], NULL, &previous) && previous.sa_handler != SIG_IGN)
			sigaction(signals[i], &action, NULL);
}

void interrupt_block(sigset_t *previous)
{
	sigset_t set;

	sigemptyset(&set);
	for (size_t i = 0; i < SIGNAL_COUNT; i++)
		sigaddset(&set, signals[i]);
	sigprocmask(SIG_BLOCK, &set, previous);
}

void interrupt_unblock(const sigset_t *previous)
{
	sigprocmask(SIG_SETMASK, previous, NULL);
}

void interrupt_set_child(pid_t child)
{
	child_pid = (sig_atomic_t)child;
}

void interrupt_set_line(bool shown)
{
	line_shown = shown;
}
