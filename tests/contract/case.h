/* SPDX-License-Identifier: MIT
 *
 * case.h - what the cases of the contract suite are written with
 *
 * A check that fails ends its case at once, from whatever thread or forked process.  What a case left behind then is
 * not cleaned up: its process ends with it.
 */
#ifndef CT_CASE_H
#define CT_CASE_H 1

#include "contract.h"
#include "pattern.h"

#include <errno.h>
#include <zpool.h>

/*
 * What the running case may know.
 *
 * spec       the driver under test, as named by the user; type is its last part, under which zpool_each_driver() has it
 * caps       what it can do; only known where the spec is one driver without filters
 * largest_bytes, alignment_bytes   of its pools
 * max_bytes                        the largest object that most cases store: largest_bytes, or less where that is so
 *                                  large that it tells where memory ends rather than what the driver can do
 * empty_bytes  what a pool without objects holds
 * step_bytes   the largest growth of zpool_get_total_size() by one malloc that was seen; see ct_limit()
 * file       for cases about it: the plugin's file
 * rng        for the case's main thread; seeded from the seed and the case's name
 */
struct ct_context {
	const char *spec;
	const char *type;
	const char *file;
	bool caps_known;
	uint32_t caps;
	size_t max_bytes;
	size_t largest_bytes;
	size_t alignment_bytes;
	uint64_t empty_bytes;
	uint64_t step_bytes;
	uint64_t seed;
	unsigned long operations;
	unsigned int timeout_s;
	bool isolate;
	bool rss;
	struct ct_rng rng;
};
extern struct ct_context ct;

/* ------------------------------------------------------------------------------------------------------------------
 * Outcomes
 */

#if defined(__GNUC__)
#define CT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define CT_PRINTF(text, first)
#endif

_Noreturn void ct_fail(const char *file, int line, const char *format, ...) CT_PRINTF(3, 4);
_Noreturn void ct_skip(const char *format, ...) CT_PRINTF(1, 2);

/* Every check is a step, which shows the runner that the case makes progress; steps are reported in batches. */
extern _Thread_local unsigned int ct_steps;
void ct_steps_report(void);

static inline void ct_step(void)
{
	if (++ct_steps % 16 == 0)
		ct_steps_report();
}

/* The message says what happened, with values; it is only built when the check fails. */
#define CT_CHECK(condition, ...)                                                                                       \
	do {                                                                                                           \
		ct_step();                                                                                             \
		if (!(condition))                                                                                      \
			ct_fail(__FILE__, __LINE__, __VA_ARGS__);                                                      \
	} while (0)

/* Has another thread of this case ended it?  Loops in threads ask, to end soon. */
bool ct_stopping(void);

/* "ENOMEM" for -12, "0" or the number for what is no error. */
const char *ct_error_name(int64_t result);

/*
 * A call that must be refused: with the errno given, and with a message of its own in zpool_last_error().
 * CT_REFUSED is for results of 0 or -errno, CT_REFUSED_NULL for NULL (or 0) and errno, CT_REFUSED_VOID for functions
 * that return nothing.  CT_MUST is for a call that gives 0.
 */
#define CT_REFUSED(call, error)                                                                                        \
	do {                                                                                                           \
		ct_message_mark();                                                                                     \
		int64_t ct_result_ = (call);                                                                           \
		CT_CHECK(ct_result_ == -(error), "%s: expected -%s, got %s", #call, #error,                            \
			 ct_error_name(ct_result_));                                                                   \
		ct_message_expect(__FILE__, __LINE__, #call);                                                          \
	} while (0)
#define CT_REFUSED_NULL(call, error)                                                                                   \
	do {                                                                                                           \
		ct_message_mark();                                                                                     \
		errno = 0;                                                                                             \
		bool ct_refused_ = !(call);                                                                            \
		int ct_errno_ = errno;                                                                                 \
		CT_CHECK(ct_refused_, "%s was not refused", #call);                                                    \
		CT_CHECK(ct_errno_ == (error), "errno after %s: expected %s, got %s", #call, #error,                   \
			 ct_error_name(-ct_errno_));                                                                   \
		ct_message_expect(__FILE__, __LINE__, #call);                                                          \
	} while (0)
#define CT_REFUSED_VOID(call)                                                                                          \
	do {                                                                                                           \
		ct_message_mark();                                                                                     \
		call;                                                                                                  \
		ct_message_expect(__FILE__, __LINE__, #call);                                                          \
	} while (0)
#define CT_MUST(call)                                                                                                  \
	do {                                                                                                           \
		int64_t ct_result_ = (call);                                                                           \
		CT_CHECK(ct_result_ == 0, "%s returned %s: %s", #call, ct_error_name(ct_result_), zpool_last_error()); \
	} while (0)

/* Put a known message in place, and later see that a call replaced it by a sentence. */
void ct_message_mark(void);
void ct_message_expect(const char *file, int line, const char *call);

/* Listen to the library's log; errors counts the lines at error level since ct_log_open(). */
void ct_log_open(void);
unsigned int ct_log_errors(void);
void ct_log_close(void);

/* ------------------------------------------------------------------------------------------------------------------
 * Pools of the driver under test.  Each succeeds or fails the case.
 */

typedef int (*ct_evict_fn)(struct zpool *pool, unsigned long handle, void *user);

/* Evict callbacks for pools that only need to have one. */
int ct_evict_nothing(struct zpool *pool, unsigned long handle, void *user);

struct zpool *ct_pool(void);
struct zpool *ct_pool_limited(uint64_t limit_bytes);
struct zpool *ct_pool_evicting(ct_evict_fn evict, void *user);
struct zpool *ct_pool_from(const struct zpool_page_source *source);
struct zpool *ct_pool_open(const char *extra, const struct zpool_open_args *args);

/*
 * The limit to use where a driver with small steps of memory gets `bytes`: at least six steps above an empty pool, so
 * that it bounds the objects and not the first step.  Skips the case where such a limit is out of proportion.
 */
uint64_t ct_limit(uint64_t bytes);

/* The spec under test with "key=value" added to its last part.  Valid until the next call in this thread. */
const char *ct_spec_with(const char *extra);

/* Skip the case unless the driver has these of ZPOOL_CAP_*. */
void ct_need(uint32_t caps);
bool ct_can(uint32_t cap);

/* What a pool with an evict callback shows that it can do: all of ZPOOL_CAP_* that shows. */
uint32_t ct_caps_by_behaviour(struct zpool *pool);

/* Free everything that `pool` can spare; no matter whether the driver can. */
void ct_trim(struct zpool *pool);

/* ------------------------------------------------------------------------------------------------------------------
 * Threads and processes
 */

struct ct_thread {
	unsigned int index;
	struct ct_rng rng;
	void *arg;
};

#define CT_THREADS_MAX 64u

/* Run fn in `count` threads that start together, wait for all; fails the case if one failed. */
void ct_threads_run(unsigned int count, void (*fn)(struct ct_thread *thread), void *arg);

/* Start and wait, for cases whose main thread has something to do meanwhile. */
void ct_threads_start(unsigned int count, void (*fn)(struct ct_thread *thread), void *arg);
void ct_threads_join(void);

/* Run fn in a forked process; a check that fails there, a crash, a deadlock or an endless loop fails the case. */
void ct_in_child(void (*fn)(void *arg), void *arg);

#endif /* CT_CASE_H */
