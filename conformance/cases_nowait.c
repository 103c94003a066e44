/* SPDX-License-Identifier: MIT
 *
 * cases_nowait.c - ZPOOL_GFP_NOWAIT: no system call, no waiting
 *
 * A forked process sets up its pool and then installs a system call filter: a system call that is not on a short list
 * ends the case and reports the call's number.  The filter applies to one thread only, so that others may use the pool
 * as usual.
 */
#include "cases.h"
#include "crowd.h"
#include "source.h"

#include <stdatomic.h>
#include <stddef.h>

#ifdef __linux__
#include <linux/filter.h>
#include <linux/futex.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void on_system_call(int signal_number, siginfo_t *info, void *context)
{
	(void)signal_number;
	(void)context;
	ct_fail(__FILE__, __LINE__, "system call number %d was made, though none is allowed here", info->si_syscall);
}

/*
 * From here on, this thread may only end and report.  With `wakes` it may also wake a thread that sleeps on a lock,
 * which does not block: releasing a contended lock needs that system call.
 */
static void forbid_system_calls(bool wakes)
{
	const unsigned int futex = wakes ? SYS_futex : UINT32_MAX;
	const struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit, 7, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 6, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_write, 5, 0),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, futex, 0, 3),
		/*
		 * The filter checks the lower half of the second argument, the futex operation; the library's locks are
		 * private futexes.
		 */
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[1])),
		BPF_STMT(BPF_ALU | BPF_AND | BPF_K, (unsigned int)FUTEX_CMD_MASK),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, FUTEX_WAKE, 1, 0),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(code) / sizeof(code[0]), (struct sock_filter *)code };
	struct sigaction action;

	memset(&action, 0, sizeof(action));
	action.sa_sigaction = on_system_call;
	action.sa_flags = SA_SIGINFO;
	sigaction(SIGSYS, &action, NULL);
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0)
		ct_skip("this system does not let a process filter its system calls");
}

#define OBJECTS 2000

/* A pool with free memory: it was filled, and every second object was freed. */
static struct zpool *pool_with_room(struct ct_set *set)
{
	struct zpool *pool = ct_pool();

	ct_set_init(set, 2 * OBJECTS);
	ct_set_fill(pool, set, OBJECTS, &ct.rng);
	ct_set_thin(pool, set, OBJECTS / 2, &ct.rng);
	return pool;
}

static void watch_malloc(void *arg)
{
	unsigned int done = 0;
	struct ct_set set;
	struct zpool *pool = pool_with_room(&set);

	(void)arg;
	forbid_system_calls(false);
	for (int i = 0; i < OBJECTS; i++) {
		unsigned long handle = 0;
		zpool_gfp_t gfp = ZPOOL_GFP_NOWAIT | (i % 2 ? ZPOOL_GFP_ZERO : 0);
		int result = zpool_malloc(pool, ct_rng_size(&ct.rng, ct.max_bytes), gfp, &handle);

		CT_CHECK(result == 0 || result == -ENOMEM,
			 "malloc with NOWAIT, with no other thread running, returned %s", ct_error_name(result));
		CT_CHECK(result == 0 || handle == 0, "malloc returned %s, but wrote a handle", ct_error_name(result));
		CT_CHECK(result == 0 || zpool_last_error()[0] != '\0', "malloc returned %s without a message",
			 ct_error_name(result));
		done += result == 0;
	}
	if (ct_can(ZPOOL_CAP_NOWAIT))
		CT_CHECK(done > 0, "%d objects had been freed, but not one malloc with NOWAIT succeeded", OBJECTS / 2);
	else
		CT_CHECK(done == 0, "%s does not have ZPOOL_CAP_NOWAIT, but %u of %d mallocs with NOWAIT succeeded",
			 ct.spec, done, OBJECTS);
}

static void nowait_makes_no_system_call(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind makes system calls of its own");
	ct_in_child(watch_malloc, NULL);
}

static void watch_maps(void *arg)
{
	struct ct_set set;
	struct zpool *pool = pool_with_room(&set);

	(void)arg;
	ct_need(ZPOOL_CAP_MAP);
	forbid_system_calls(false);
	for (int round = 0; round < 3; round++)
		ct_set_check(pool, &set, "with system calls forbidden");
}

static void maps_make_no_system_call(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind makes system calls of its own");
	ct_in_child(watch_maps, NULL);
}

static atomic_ulong neighbours_done;

static void busy_neighbour(struct ct_thread *thread)
{
	struct zpool *pool = thread->arg;
	unsigned long handles[64];
	size_t held = 0;

	/* The process ends together with the filtered thread. */
	for (;; atomic_fetch_add(&neighbours_done, 1)) {
		if (held < 64 && ct_rng_below(&thread->rng, 2) == 0) {
			size_t size = ct_rng_size(&thread->rng, ct.max_bytes);

			if (zpool_malloc(pool, size, ZPOOL_GFP_KERNEL, &handles[held]) == 0)
				held++;
		} else if (held > 0) {
			zpool_free(pool, handles[--held]);
		}
	}
}

static void watch_among_threads(void *arg)
{
	unsigned int count[3] = { 0, 0, 0 };
	struct ct_set set;
	struct zpool *pool = pool_with_room(&set);

	(void)arg;
	ct_threads_start(3, busy_neighbour, pool);
	forbid_system_calls(true);
	/* Loop until the other threads have taken the locks often; at first they may not even have started. */
	for (int i = 0; i < 100000 || atomic_load(&neighbours_done) < 200000; i++) {
		unsigned long handle = 0;
		size_t size = 1 + ct_rng_below(&ct.rng, ct_size(1000));
		int result = zpool_malloc(pool, size, ZPOOL_GFP_NOWAIT, &handle);

		CT_CHECK(result == 0 || result == -ENOMEM || result == -EAGAIN, "malloc with NOWAIT returned %s",
			 ct_error_name(result));
		count[result == 0 ? 0 : result == -ENOMEM ? 1 : 2]++;
	}
	/* Do not return, because that would join the other threads. */
	_exit(0);
}

static void nowait_does_not_wait_for_locks(void)
{
	if (ct_instrumented())
		ct_skip("a sanitizer or valgrind makes system calls of its own");
	ct_in_child(watch_among_threads, NULL);
}
#else
static void nowait_makes_no_system_call(void)
{
	ct_skip("this system cannot filter system calls");
}

static void maps_make_no_system_call(void)
{
	ct_skip("this system cannot filter system calls");
}

static void nowait_does_not_wait_for_locks(void)
{
	ct_skip("this system cannot filter system calls");
}
#endif

/* A slow page source: a thread that waits for it may hold any of the driver's locks. */
struct slow_source {
	struct zpool_page_source table;
	struct ct_source source;
	struct zpool *pool;
	atomic_bool slow; /* while true, commit waits */
	atomic_bool in_commit, done;
};

static int commit_slowly(void *context, void *address, size_t bytes)
{
	struct slow_source *slow = context;

	if (atomic_load(&slow->slow)) {
		atomic_store(&slow->in_commit, true);
		while (!atomic_load(&slow->done) && !ct_stopping())
			ct_nap();
	}
	return slow->source.table.commit(slow->source.table.context, address, bytes);
}

static void *reserve_as_usual(void *context, size_t bytes, size_t align_bytes, int node)
{
	struct slow_source *slow = context;

	return slow->source.table.reserve(slow->source.table.context, bytes, align_bytes, node);
}

static int decommit_as_usual(void *context, void *address, size_t bytes)
{
	struct slow_source *slow = context;

	return slow->source.table.decommit(slow->source.table.context, address, bytes);
}

static void release_as_usual(void *context, void *address, size_t bytes)
{
	struct slow_source *slow = context;

	slow->source.table.release(slow->source.table.context, address, bytes);
}

static void wait_for_pages_or_not(struct ct_thread *thread)
{
	struct slow_source *slow = thread->arg;
	unsigned long handle;

	if (thread->index == 0) {
		for (int i = 0; i < 20000 && !atomic_load(&slow->done) && !ct_stopping(); i++)
			CT_MUST(zpool_malloc(slow->pool, ct.max_bytes, ZPOOL_GFP_KERNEL, &handle));
		atomic_store(&slow->done, true);
		return;
	}
	while (!atomic_load(&slow->in_commit) && !atomic_load(&slow->done) && !ct_stopping())
		ct_nap();
	for (int i = 0; i < 1000; i++) {
		int result = zpool_malloc(slow->pool, 1 + ct_rng_below(&thread->rng, ct.max_bytes), ZPOOL_GFP_NOWAIT,
					  &handle);

		CT_CHECK(result == 0 || result == -ENOMEM || result == -EAGAIN, "malloc with NOWAIT returned %s",
			 ct_error_name(result));
	}
	atomic_store(&slow->done, true);
}

static void nowait_does_not_wait_for_pages(void)
{
	static struct slow_source slow;

	if (!ct_source_holds_objects())
		ct_skip("%s stores objects outside the pages of a page source", ct.spec);
	ct_source_init(&slow.source);
	slow.table = (struct zpool_page_source){
		sizeof(slow.table), 0, &slow, reserve_as_usual, commit_slowly, decommit_as_usual, release_as_usual
	};
	slow.pool = ct_pool_from(&slow.table);
	atomic_store(&slow.slow, true);
	ct_threads_run(2, wait_for_pages_or_not, &slow);
	CT_CHECK(atomic_load(&slow.in_commit),
		 "20000 objects of %zu bytes were stored without taking a page from the source", ct.max_bytes);
	zpool_destroy_pool(slow.pool);
}

static void nowait_object_is_like_any_other(void)
{
	struct zpool *pool = ct_pool();
	unsigned int failures = 0;
	struct ct_set set;

	ct_set_init(&set, 20000);
	ct_set_fill(pool, &set, 2000, &ct.rng);
	for (int round = 0; round < 10; round++) {
		ct_set_thin(pool, &set, 500, &ct.rng);
		for (int i = 0; i < 1500; i++) {
			zpool_gfp_t gfp = ZPOOL_GFP_NOWAIT | (i % 3 ? 0 : ZPOOL_GFP_ZERO);
			int result = ct_set_try(pool, &set, ct_rng_size(&ct.rng, ct.max_bytes), gfp);

			CT_CHECK(result == 0 || result == -ENOMEM,
				 "malloc with NOWAIT, with no other thread running, returned %s",
				 ct_error_name(result));
			failures += result != 0;
		}
		ct_set_check(pool, &set, "after mallocs with NOWAIT");
		ct_set_fill(pool, &set, 2000, &ct.rng);
		ct_set_check(pool, &set, "after mallocs with and without NOWAIT");
	}
	zpool_destroy_pool(pool);
	ct_set_fini(&set);
	CT_CHECK(ct_can(ZPOOL_CAP_NOWAIT) || failures == 15000,
		 "%s does not have ZPOOL_CAP_NOWAIT, but %u of 15000 mallocs with NOWAIT succeeded", ct.spec,
		 15000 - failures);
}

const struct ct_case ct_cases_nowait[] = {
	{ "nowait_makes_no_system_call",
	  "With ZPOOL_GFP_NOWAIT malloc makes no system call: it uses memory that the pool already has, or returns -ENOMEM.",
	  nowait_makes_no_system_call, CT_FORKS },
	{ "maps_make_no_system_call", "Mapping and unmapping make no system call.", maps_make_no_system_call,
	  CT_FORKS },
	{ "nowait_does_not_wait_for_locks",
	  "With ZPOOL_GFP_NOWAIT malloc never sleeps: it only tries to take locks, and returns -EAGAIN when one is held.",
	  nowait_does_not_wait_for_locks, CT_FORKS },
	{ "nowait_does_not_wait_for_pages",
	  "A malloc with ZPOOL_GFP_NOWAIT does not wait for another thread that is waiting for the page source.",
	  nowait_does_not_wait_for_pages, 0 },
	{ "nowait_object_is_like_any_other", "An object allocated with ZPOOL_GFP_NOWAIT is like any other.",
	  nowait_object_is_like_any_other, 0 },
	{ NULL, NULL, NULL, 0 },
};
