/* SPDX-License-Identifier: MIT */
#include "timed_lock.h"

#include <time.h>

/* The locks that this thread holds. A fork takes more than HELD_MAX locks, and the others are not logged. */
enum { HELD_MAX = 16 };
static __thread struct held {
	const struct zp_lock *lock;
	struct timed_site *site;
	uint64_t since_ns;
} held[HELD_MAX];
static __thread unsigned int held_count;

static struct timed_site *_Atomic sites[TIMED_SITES];
static _Atomic(uint16_t) site_count;

static struct timed_hold *holds;
static size_t room;
static _Atomic(size_t) count;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* If two threads use a site for the first time, it may get two numbers; both stand for it. */
static uint16_t number_of(struct timed_site *site)
{
	uint16_t number = atomic_load_explicit(&site->number, memory_order_relaxed);

	if (number == 0) {
		number = (uint16_t)(atomic_fetch_add(&site_count, 1) + 1);
		if (number < TIMED_SITES)
			atomic_store(&sites[number], site);
		atomic_store(&site->number, number);
	}
	return number;
}

void timed_taken(struct zp_lock *lock, struct timed_site *site)
{
	if (held_count < HELD_MAX)
		held[held_count++] = (struct held){ lock, site, now_ns() };
}

void timed_releasing(struct zp_lock *lock)
{
	uint64_t now = now_ns();
	unsigned int at = held_count;
	struct held hold;
	size_t entry;

	while (at > 0 && held[at - 1].lock != lock)
		at--;
	if (at == 0)
		return;
	hold = held[at - 1];
	held[at - 1] = held[--held_count];
	entry = atomic_fetch_add_explicit(&count, 1, memory_order_relaxed);
	if (entry < room)
		holds[entry] = (struct timed_hold){ number_of(hold.site), (uint32_t)(now - hold.since_ns) };
}

#define EXPORTED __attribute__((visibility("default")))

EXPORTED void timed_start(struct timed_hold *log, size_t log_room)
{
	holds = log;
	room = log_room;
	atomic_store(&count, 0);
}

EXPORTED size_t timed_count(void)
{
	size_t logged = atomic_load(&count);

	return logged < room ? logged : room;
}

EXPORTED const struct timed_site *timed_site(unsigned int number)
{
	return number < TIMED_SITES ? atomic_load(&sites[number]) : NULL;
}
