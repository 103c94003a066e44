/* SPDX-License-Identifier: MIT
 *
 * fixture.h - what the loader's tests share
 *
 * Every test starts with an empty plugin directory of its own (0755, in a directory that goes when the program ends),
 * no events, and the default log handler; afterwards every plugin that lets go is unloaded, for where Check does not
 * fork.
 * Strings that these functions return live as long as the test.
 */
#ifndef TESTS_LOADER_FIXTURE_H
#define TESTS_LOADER_FIXTURE_H 1

#include <check.h>
#include <stdbool.h>
#include <sys/types.h>

#include "zpool.h"

/* Runs one case, with the fixture around each of its tests.  What main() returns. */
int fixture_run(const char *name, TCase *tests);

/* Says why a test checks nothing here. */
void fixture_skip(const char *test, const char *reason);

/*
 * May a test fork a program that has threads, and one whose threads allocate memory at that very moment?  Says so if
 * not.  Thread sanitizer ends such children; address sanitizer leaves them with locks of its allocator that nobody lets
 * go.
 */
bool fixture_may_fork(const char *test);
bool fixture_may_fork_beside_work(const char *test);

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define FIXTURE_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define FIXTURE_SANITIZED 1
#endif
#endif
#ifndef FIXTURE_SANITIZED
#define FIXTURE_SANITIZED 0
#endif

__attribute__((format(printf, 1, 2))) const char *fixture_text(const char *format, ...);

/* ------------------------------------------------------------------------------------------------------------------
 * Files
 */

/* The plugin directory, already in force. */
const char *fixture_dir(void);

/* Where the test's other files and directories go: above the plugin directory. */
const char *fixture_root(void);

/* A new directory <root>/<name>. */
const char *fixture_make_dir(const char *name, mode_t mode);

/* Where the build has a mock. */
const char *fixture_mock(const char *mock);

/* Copy a mock into the plugin directory under its own name, or to a path.  The path. */
const char *fixture_install(const char *mock);
const char *fixture_install_as(const char *mock, const char *path);

/* Put a mock in the place of a file, by rename(2). */
void fixture_replace(const char *mock, const char *path);

void fixture_write(const char *path, const void *bytes, size_t size);

/* The whole of a file with a NUL behind it; *size may be NULL. */
char *fixture_read(const char *path, size_t *size);

/* Is code of a file of this name in memory?  name: the end of a path. */
bool fixture_is_mapped(const char *name);

/* ------------------------------------------------------------------------------------------------------------------
 * What mocks tell
 */

/* How often it was told since the test began.  type, what: NULL for any. */
unsigned fixture_events(const char *type, const char *what);

/* Have fn called whenever something is told, by the thread that tells it; NULL: no more. */
void fixture_on_event(void (*fn)(const char *type, const char *what));

/* ------------------------------------------------------------------------------------------------------------------
 * The log
 */

/* From now on messages are kept.  How many have this text in them? */
void fixture_capture_log(enum zpool_log_level level);
unsigned fixture_logged(const char *text);

/* ------------------------------------------------------------------------------------------------------------------
 * Other programs
 */

struct fixture_result {
	int status; /* exit status, or 256 + the signal that ended it */
	const char *out;
	const char *err;
};

/*
 * Runs a program and waits for it.  argv[0] is its path, and "child" means the helper beside the tests.  environment:
 * NAME=value entries, NULL at the end, that take precedence over ours; directory: where it runs, NULL for here.
 */
struct fixture_result fixture_spawn(const char *const argv[], const char *const environment[], const char *directory);

/* ------------------------------------------------------------------------------------------------------------------
 * Expectations
 */

/* A pool of this type can be made; it is destroyed again. */
#define expect_works(type_)                                                                                            \
	do {                                                                                                           \
		struct zpool *works_pool = zpool_create_pool((type_), 0, NULL);                                        \
		ck_assert_msg(works_pool != NULL, "create(%s): %s", (type_), zpool_last_error());                      \
		zpool_destroy_pool(works_pool);                                                                        \
	} while (0)

/* zpool_create_pool() gives NULL and errno err_, and the message has each of the texts that follow. */
#define expect_refused(type_, err_, ...)                                                                               \
	do {                                                                                                           \
		static const char *const refused_texts[] = { __VA_ARGS__, NULL };                                      \
		errno = 0;                                                                                             \
		struct zpool *refused_pool = zpool_create_pool((type_), 0, NULL);                                      \
		int refused_errno = errno;                                                                             \
		ck_assert_msg(refused_pool == NULL, "create(%s) was not refused", (type_));                            \
		ck_assert_msg(refused_errno == (err_), "create(%s): errno %d (%s), not %s; %s", (type_),               \
			      refused_errno, strerror(refused_errno), #err_, zpool_last_error());                      \
		expect_message(refused_texts);                                                                         \
	} while (0)

/* zpool_last_error() has each of the texts (NULL at the end), begins like a sentence and ends like one. */
#define expect_message(texts_)                                                                                         \
	do {                                                                                                           \
		const char *message_text = zpool_last_error();                                                         \
		size_t message_length = strlen(message_text);                                                          \
		ck_assert_msg(message_length > 0 && message_text[message_length - 1] == '.', "no sentence: \"%s\"",    \
			      message_text);                                                                           \
		for (const char *const *message_each = (texts_); *message_each; message_each++)                        \
			ck_assert_msg(strstr(message_text, *message_each) != NULL, "\"%s\" is not in \"%s\"",          \
				      *message_each, message_text);                                                    \
	} while (0)

/* A call gives this negative errno, and the message has each of the texts that follow. */
#define expect_error(call_, err_, ...)                                                                                 \
	do {                                                                                                           \
		static const char *const error_texts[] = { __VA_ARGS__, NULL };                                        \
		int error_result = (int)(call_);                                                                       \
		ck_assert_msg(error_result == -(err_), "%s gave %d, not -%s; %s", #call_, error_result, #err_,         \
			      zpool_last_error());                                                                     \
		expect_message(error_texts);                                                                           \
	} while (0)

#endif
