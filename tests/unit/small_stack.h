/* SPDX-License-Identifier: MIT
 *
 * small_stack.h - runs a function on a stack of 16 KiB, or the smallest one that the C library accepts, and prints how
 * much of it was used
 */
#ifndef UNIT_SMALL_STACK_H
#define UNIT_SMALL_STACK_H 1

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { SMALL_STACK_PAINT = 0xa5 };

struct small_stack_job {
	void (*fn)(const char *argument);
	const char *argument;
};

static void *small_stack_run(void *arg)
{
	const struct small_stack_job *job = arg;
	job->fn(job->argument);
	return NULL;
}

/* Other C libraries accept a stack of 2 KiB. */
static size_t small_stack_bytes(void)
{
	const size_t promised = 16384, accepted = (size_t)PTHREAD_STACK_MIN;
	return accepted > promised ? accepted : promised;
}

/* The stack lies between two guard pages, and is filled with a pattern that shows its use. */
static void on_small_stack(const char *name, void (*fn)(const char *argument), const char *argument)
{
	struct small_stack_job job = { fn, argument };
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), bytes = small_stack_bytes(), untouched = 0;
	unsigned char *area = mmap(NULL, bytes + 2 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	unsigned char *stack = area + page_bytes;
	pthread_attr_t attr;
	pthread_t thread;

	if (area == MAP_FAILED || mprotect(stack, bytes, PROT_READ | PROT_WRITE) != 0 ||
	    pthread_attr_init(&attr) != 0 || pthread_attr_setstack(&attr, stack, bytes) != 0) {
		perror("a small stack");
		exit(99);
	}
	memset(stack, SMALL_STACK_PAINT, bytes);
	int err = pthread_create(&thread, &attr, small_stack_run, &job);
	if (err) {
		fprintf(stderr, "pthread_create: %s\n", strerror(err));
		exit(99);
	}
	(void)pthread_join(thread, NULL);
	(void)pthread_attr_destroy(&attr);
	while (untouched < bytes && stack[untouched] == SMALL_STACK_PAINT)
		untouched++;
	printf("%-12s %-24s %6zu of %zu bytes of stack\n", name, argument ? argument : "", bytes - untouched, bytes);
	(void)munmap(area, bytes + 2 * page_bytes);
}

#endif
