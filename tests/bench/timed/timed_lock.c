/* SPDX-License-Identifier: MIT */
#include "timed_lock.h"

#include <time.h>

/* What this thread holds; fork takes more than fit, and those are not counted. */
enum { HELD_MAX = 16 };
static __thread struct held {
	const struct zp_lock *lock;
	struct timed_site *site;
	uint64_t since_ns;
} held[HELD_MAX];
static __thread unsigned int held_count;

static _Atomic(struct timed_site *) sites;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void list(struct timed_site *site)
{
	struct timed_site *first = atomic_load(&sites);

	if (atomic_exchange(&site->listed, true))
		return;
	do
		site->next = first;
	while (!atomic_compare_exchange_weak(&sites, &first, site));
}

void timed_taken(struct zp_lock *lock, struct timed_site *site)
{
	if (held_count < HELD_MAX)
		held[held_count++] = (struct held){ lock, site, now_ns() };
}

void timed_releasing(struct zp_lock *lock)
{
	uint64_t now = now_ns(), most, ns;
	unsigned int at = held_count;
	struct timed_site *site;

	while (at > 0 && held[at - 1].lock != lock)
		at--;
	if (at == 0)
		return;
	site = held[at - 1].site;
	ns = now - held[at - 1].since_ns;
	held[at - 1] = held[--held_count];
	if (!atomic_load_explicit(&site->listed, memory_order_relaxed))
		list(site);
	atomic_fetch_add_explicit(&site->holds, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&site->buckets[timed_bucket(ns)], 1, memory_order_relaxed);
	most = atomic_load_explicit(&site->max_ns, memory_order_relaxed);
	while (ns > most && !atomic_compare_exchange_weak(&site->max_ns, &most, ns))
		;
}

__attribute__((visibility("default"))) struct timed_site *timed_sites(void)
{
	return atomic_load(&sites);
}

__attribute__((visibility("default"))) void timed_reset(void)
{
	for (struct timed_site *site = atomic_load(&sites); site; site = site->next) {
		atomic_store(&site->holds, 0);
		atomic_store(&site->max_ns, 0);
		for (unsigned int i = 0; i < TIMED_BUCKETS; i++)
			atomic_store(&site->buckets[i], 0);
	}
}
