/* SPDX-License-Identifier: MIT
 *
 * fixture.h - what the loader's tests share
 *
 * Every test starts with an empty plugin directory of its own (mode 0755, in a directory that is removed when the
 * program ends), no events, and the default log handler.  After the test, the fixture unloads every plugin that can be
 * unloaded, because Check may run without fork.  Strings that these functions return live as long as the test.
 */
#ifndef TESTS_LOADER_FIXTURE_H
#define TESTS_LOADER_FIXTURE_H 1

#include "tests/suite.h"

#include <stdbool.h>
#include <sys/types.h>

#include "zpool.h"

/* Runs one case, with the fixture around each of its tests.  Returns the exit status for main(). */
int fixture_run(const char *name, TCase *tests);

/* Prints why a test checks nothing here. */
void fixture_skip(const char *test, const char *reason);

/*
 * These return whether a test may fork a program that has threads, and one whose threads allocate memory at that
 * moment; if not, they print the reason.  The thread sanitizer kills such children; the address sanitizer leaves them
 * with locks of its allocator that no thread releases.
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

/* Returns the plugin directory, which the plugin path already names. */
const char *fixture_dir(void);

/* Returns the parent of the plugin directory, for the test's other files and directories. */
const char *fixture_root(void);

/* Creates the directory <root>/<name> and returns its path. */
const char *fixture_make_dir(const char *name, mode_t mode);

/* Returns the path of a mock in the build tree. */
const char *fixture_mock(const char *mock);

/* Copies a mock into the plugin directory under its own name, or to a path.  Returns the path of the copy. */
const char *fixture_install(const char *mock);
const char *fixture_install_as(const char *mock, const char *path);

/* Replaces a file by a mock, with rename(2). */
void fixture_replace(const char *mock, const char *path);

void fixture_write(const char *path, const void *bytes, size_t size);

/* Returns the contents of a file, followed by a NUL; size may be NULL. */
char *fixture_read(const char *path, size_t *size);

/* Returns true if the code of a file is mapped whose path ends with the name. */
bool fixture_is_mapped(const char *name);

/* ------------------------------------------------------------------------------------------------------------------
 * Events that mocks report
 */

/* Returns how many events mocks reported since the test began; a type or event of NULL matches any. */
unsigned int fixture_events(const char *type, const char *what);

/* Sets a function that runs in the thread that reports an event; NULL removes it. */
void fixture_on_event(void (*fn)(const char *type, const char *what));

/* ------------------------------------------------------------------------------------------------------------------
 * The log
 */

/* capture_log stores all messages from now on; logged returns how many of them contain the text. */
void fixture_capture_log(enum zpool_log_level level);
unsigned int fixture_logged(const char *text);

/* ------------------------------------------------------------------------------------------------------------------
 * Other programs
 */

struct fixture_result {
	int status; /* the exit status, or 256 + the signal that killed the program */
	const char *out;
	const char *err;
};

/*
 * Runs a program and waits for it.  argv[0] is its path, or "child" for the helper beside the tests.  The entries
 * NAME=value of the environment, ended by NULL, override those of the test.  The program runs in the directory, or in
 * the current one if that is NULL.
 */
struct fixture_result fixture_spawn(const char *const argv[], const char *const environment[], const char *directory);

/* ------------------------------------------------------------------------------------------------------------------
 * Expectations
 */

/* Checks that a pool of this type can be created, and destroys it. */
#define expect_works(type_)                                                                                            \
	do {                                                                                                           \
		struct zpool *works_pool = zpool_create_pool((type_), 0, NULL);                                        \
		ck_assert_msg(works_pool != NULL, "create(%s): %s", (type_), zpool_last_error());                      \
		zpool_destroy_pool(works_pool);                                                                        \
	} while (0)

/* Checks that zpool_create_pool() returns NULL with errno err_, and that the message contains each of the texts. */
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

/* Checks that zpool_last_error() contains each of the texts (ended by NULL), and begins and ends like a sentence. */
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

/* Checks that a call returns this negative errno, and that the message contains each of the texts. */
#define expect_error(call_, err_, ...)                                                                                 \
	do {                                                                                                           \
		static const char *const error_texts[] = { __VA_ARGS__, NULL };                                        \
		int error_result = (int)(call_);                                                                       \
		ck_assert_msg(error_result == -(err_), "%s gave %d, not -%s; %s", #call_, error_result, #err_,         \
			      zpool_last_error());                                                                     \
		expect_message(error_texts);                                                                           \
	} while (0)

#endif
