/* SPDX-License-Identifier: MIT
 *
 * case.h - the functions and macros that cases are written with
 *
 * A check that fails ends its case at once, in whichever thread or forked process it runs.  Nothing that the case has
 * allocated is cleaned up, because its process ends with it.
 */
#ifndef CT_CASE_H
#define CT_CASE_H 1

#include "contract.h"
#include "pattern.h"

#include <errno.h>
#include <zpool.h>

/*
 * What a case can read about its run.
 *
 * spec         the driver under test, as the user named it; type is its last part, which zpool_each_driver() reports
 * caps         the driver's ZPOOL_CAP_*; only known if the spec is one driver without filters
 * largest_bytes, alignment_bytes   the limits of the driver's pools
 * max_bytes    the largest object that most cases store: largest_bytes, unless few such objects would reach the limits
 *              that cases set
 * empty_bytes  the size of a pool without objects
 * step_bytes   the largest growth of zpool_get_total_size() that one malloc was seen to cause; see ct_limit()
 * file         the plugin's file, in cases about files
 * rng          the random numbers of the case's main thread; seeded from the seed and the case's name
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

/* No driver has smaller pages. */
enum { CT_PAGE_BYTES_MIN = 4096 };

/* Returns a size for cases in which any will do: `size`, or the largest that most cases store if that is smaller. */
static inline size_t ct_size(size_t size)
{
	return size < ct.max_bytes ? size : ct.max_bytes;
}

/*
 * Returns a number of objects for cases that need more than a few pages: `count`, or more if the objects are so small
 * that hundreds share what a driver releases at once.
 */
static inline size_t ct_many(size_t count)
{
	return ct.max_bytes < 3072 ? 10 * count : count;
}

/*
 * Returns a number of objects for cases about what a driver does with whole pages: `count`, or so many that objects of
 * a usual size fill many of the steps in which the driver allocates memory, but at most CT_ENOUGH_MAX.
 */
enum { CT_ENOUGH_MAX = 60000 };
static inline size_t ct_enough(size_t count)
{
	uint64_t objects = 16 * ct.step_bytes / ct_size(1000);

	if (objects > CT_ENOUGH_MAX)
		objects = CT_ENOUGH_MAX;
	return objects > count ? (size_t)objects : count;
}

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

/* Every check counts as a step.  Steps show the runner that the case makes progress, and are reported in batches. */
extern _Thread_local unsigned int ct_steps;
void ct_steps_report(void);

static inline void ct_step(void)
{
	if (++ct_steps % 16 == 0)
		ct_steps_report();
}

/* The message says what was expected and what was found.  It is only formatted if the check fails. */
#define CT_CHECK(condition, ...)                                                                                       \
	do {                                                                                                           \
		ct_step();                                                                                             \
		if (!(condition))                                                                                      \
			ct_fail(__FILE__, __LINE__, __VA_ARGS__);                                                      \
	} while (0)

/* Returns true once another thread has ended the case.  Threads that loop have to check it. */
bool ct_stopping(void);

/* Returns the name of -errno, such as "-ENOMEM", or the number if there is no such name. */
const char *ct_error_name(int64_t result);

/*
 * These macros check a call that must fail with the given errno and set zpool_last_error().  CT_REFUSED is for
 * functions that return 0 or -errno, CT_REFUSED_NULL for those that return NULL (or 0) and set errno, and
 * CT_REFUSED_VOID for those that return nothing.  CT_MUST checks that a call returns 0.
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

/*
 * ct_message_mark() sets a known message, and ct_message_expect() fails the case unless a call has replaced it by a
 * complete sentence.
 */
void ct_message_mark(void);
void ct_message_expect(const char *file, int line, const char *call);

/* Receive the library's log.  ct_log_errors() returns the number of messages at error level since ct_log_open(). */
void ct_log_open(void);
unsigned int ct_log_errors(void);
void ct_log_close(void);

/* ------------------------------------------------------------------------------------------------------------------
 * Pools of the driver under test.  Each succeeds or fails the case.
 */

typedef int (*ct_evict_fn)(struct zpool *pool, unsigned long handle, void *user);

/* An evict callback for pools that need one but must not evict: it refuses every object. */
int ct_evict_nothing(struct zpool *pool, unsigned long handle, void *user);

struct zpool *ct_pool(void);
struct zpool *ct_pool_limited(uint64_t limit_bytes);
struct zpool *ct_pool_evicting(ct_evict_fn evict, void *user);
struct zpool *ct_pool_from(const struct zpool_page_source *source);
struct zpool *ct_pool_open(const char *extra, const struct zpool_open_args *args);

/*
 * Returns the limit to use: `bytes`, or more if the driver takes memory in large steps.  The limit is at least six
 * steps above an empty pool, so that objects reach it rather than the first step.  Skips the case if such a limit would
 * be out of proportion.
 */
uint64_t ct_limit(uint64_t bytes);

/*
 * Returns the spec under test with "key=value" added to its last part.  The string is valid until the thread's next
 * call.
 */
const char *ct_spec_with(const char *extra);

/* Skips the case unless the driver has these ZPOOL_CAP_*. */
void ct_need(uint32_t caps);

/* Skips the case unless objects of so many bytes fill some of the steps in which the driver allocates memory. */
void ct_need_steps(uint64_t bytes);

bool ct_can(uint32_t cap);

/* Loads a driver or a filter, which zpool_has_pool() does not accept alone.  Returns false with zpool_last_error(). */
bool ct_loads(const char *type);

/* Returns all ZPOOL_CAP_* that can be found out by using a pool with an evict callback. */
uint32_t ct_caps_by_behaviour(struct zpool *pool);

/*
 * Returns how many bytes a page of the driver has at most.  The driver chooses the size of its pages.  If its
 * statistics do not tell it, it may be as large as the step in which the driver allocates memory.
 */
uint64_t ct_page_bytes(struct zpool *pool);

/* Calls zpool_trim(), and ignores that a driver may not support it. */
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

/* Runs fn in `count` threads that start at the same time, and waits for all.  Fails the case if a thread fails. */
void ct_threads_run(unsigned int count, void (*fn)(struct ct_thread *thread), void *arg);

/* The same in two steps, for cases whose main thread works in between. */
void ct_threads_start(unsigned int count, void (*fn)(struct ct_thread *thread), void *arg);
void ct_threads_join(void);

/* Runs fn in a forked process.  A failed check, a crash, a deadlock or an endless loop there fails the case. */
void ct_in_child(void (*fn)(void *arg), void *arg);

#endif /* CT_CASE_H */
