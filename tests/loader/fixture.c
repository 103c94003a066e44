/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * This directory is the parent of all tests' directories.  The program removes it when it ends; Check's children do
 * not.
 */
static char program_dir[4096];
static pid_t program_pid;
static unsigned int tests_begun;

/* These belong to the running test. */
static const char *test_root, *test_dir;
static struct text {
	struct text *next;
	char bytes[];
} * texts;

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
	(void)st, (void)kind, (void)ftw;
	return remove(path);
}

static void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void remove_program_dir(void)
{
	if (getpid() == program_pid)
		remove_tree(program_dir);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Texts and files
 */

static char *new_text(size_t bytes)
{
	struct text *text = malloc(sizeof(*text) + bytes);
	ck_assert_ptr_nonnull(text);
	text->next = texts;
	texts = text;
	return text->bytes;
}

const char *fixture_text(const char *format, ...)
{
	va_list args;
	va_start(args, format);
	int length = vsnprintf(NULL, 0, format, args);
	va_end(args);
	char *bytes = new_text((size_t)length + 1);
	va_start(args, format);
	(void)vsnprintf(bytes, (size_t)length + 1, format, args);
	va_end(args);
	return bytes;
}

const char *fixture_dir(void)
{
	return test_dir;
}

const char *fixture_root(void)
{
	return test_root;
}

const char *fixture_make_dir(const char *name, mode_t mode)
{
	const char *path = fixture_text("%s/%s", test_root, name);
	ck_assert_msg(mkdir(path, 0755) == 0, "mkdir %s: %s", path, strerror(errno));
	ck_assert_int_eq(chmod(path, mode), 0);
	return path;
}

char *fixture_read(const char *path, size_t *size)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_msg(fd >= 0 && fstat(fd, &st) == 0, "%s: %s", path, strerror(errno));
	size_t bytes = (size_t)st.st_size;
	char *content = new_text(bytes + 1);
	ck_assert_int_eq(read(fd, content, bytes), (ssize_t)bytes);
	content[bytes] = '\0';
	close(fd);
	if (size)
		*size = bytes;
	return content;
}

void fixture_write(const char *path, const void *bytes, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	ck_assert_msg(fd >= 0, "%s: %s", path, strerror(errno));
	ck_assert_int_eq(write(fd, bytes, size), (ssize_t)size);
	ck_assert_int_eq(close(fd), 0);
}

static const char *build_dir(void)
{
	const char *dir = getenv("abs_top_builddir");
	return dir ? dir : ".";
}

const char *fixture_mock(const char *mock)
{
	return fixture_text("%s/tests/loader/mocks/.libs/%s.so", build_dir(), mock);
}

const char *fixture_install_as(const char *mock, const char *path)
{
	size_t size;
	const char *content = fixture_read(fixture_mock(mock), &size);
	fixture_write(path, content, size);
	return path;
}

const char *fixture_install(const char *mock)
{
	return fixture_install_as(mock, fixture_text("%s/%s.so", test_dir, mock));
}

void fixture_replace(const char *mock, const char *path)
{
	const char *fresh = fixture_install_as(mock, fixture_text("%s.new", path));
	ck_assert_int_eq(rename(fresh, path), 0);
}

bool fixture_is_mapped(const char *name)
{
	char *line = NULL;
	size_t room = 0, length = strlen(name);
	bool found = false;
	FILE *maps = fopen("/proc/self/maps", "re");

	ck_assert_ptr_nonnull(maps);
	while (!found && getline(&line, &room, maps) > 0) {
		size_t end = strcspn(line, "\n");
		found = end >= length && strncmp(line + end - length, name, length) == 0;
	}
	free(line);
	fclose(maps);
	return found;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Events and log
 */

enum { MAX_EVENTS = 4096, MAX_LOG_BYTES = 1 << 20 };

/* The lock guards the variables below. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct event {
	char type[40];
	char what[80];
} events[MAX_EVENTS];
static unsigned int event_count;
static void (*event_hook)(const char *type, const char *what);
static char *log_text;
static size_t log_bytes;

/* Mock plugins find this function by its name. */
ZPOOL_PUBLIC void mock_event(const char *type, const char *what);

void mock_event(const char *type, const char *what)
{
	pthread_mutex_lock(&lock);
	if (event_count < MAX_EVENTS) {
		struct event *event = &events[event_count++];
		(void)snprintf(event->type, sizeof(event->type), "%s", type ? type : "");
		(void)snprintf(event->what, sizeof(event->what), "%s", what);
	}
	void (*hook)(const char *type, const char *what) = event_hook;
	pthread_mutex_unlock(&lock);
	if (hook)
		hook(type ? type : "", what);
}

unsigned int fixture_events(const char *type, const char *what)
{
	unsigned int count = 0;
	pthread_mutex_lock(&lock);
	for (unsigned int i = 0; i < event_count; i++)
		if ((!type || strcmp(events[i].type, type) == 0) && (!what || strcmp(events[i].what, what) == 0))
			count++;
	pthread_mutex_unlock(&lock);
	return count;
}

void fixture_on_event(void (*fn)(const char *type, const char *what))
{
	pthread_mutex_lock(&lock);
	event_hook = fn;
	pthread_mutex_unlock(&lock);
}

static void keep_message(enum zpool_log_level level, const char *message, void *user)
{
	size_t length = strlen(message);
	(void)level, (void)user;
	pthread_mutex_lock(&lock);
	if (log_text && log_bytes + length + 2 < MAX_LOG_BYTES) {
		memcpy(log_text + log_bytes, message, length);
		log_text[log_bytes + length] = '\n';
		log_bytes += length + 1;
		log_text[log_bytes] = '\0';
	}
	pthread_mutex_unlock(&lock);
}

void fixture_capture_log(enum zpool_log_level level)
{
	char *text = calloc(1, MAX_LOG_BYTES);
	ck_assert_ptr_nonnull(text);
	pthread_mutex_lock(&lock);
	free(log_text);
	log_text = text;
	log_bytes = 0;
	pthread_mutex_unlock(&lock);
	ck_assert_int_eq(zpool_set_log_handler(keep_message, level, NULL), 0);
}

unsigned int fixture_logged(const char *text)
{
	unsigned int count = 0;
	pthread_mutex_lock(&lock);
	for (const char *at = log_text ? strstr(log_text, text) : NULL; at; at = strstr(at + 1, text))
		count++;
	pthread_mutex_unlock(&lock);
	return count;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Other programs
 */

static bool is_overridden(const char *entry, const char *const environment[])
{
	size_t length = strcspn(entry, "=");
	for (; environment && *environment; environment++)
		if (strncmp(*environment, entry, length + 1) == 0)
			return true;
	return false;
}

static const char **merge_environment(const char *const environment[])
{
	size_t count = 1;
	for (char **entry = environ; *entry; entry++)
		count++;
	for (const char *const *entry = environment; entry && *entry; entry++)
		count++;
	const char **merged = (const char **)(void *)new_text(count * sizeof(*merged));
	count = 0;
	for (char **entry = environ; *entry; entry++)
		if (!is_overridden(*entry, environment))
			merged[count++] = *entry;
	for (; environment && *environment; environment++)
		merged[count++] = *environment;
	merged[count] = NULL;
	return merged;
}

struct fixture_result fixture_spawn(const char *const argv[], const char *const environment[], const char *directory)
{
	const char *out = fixture_text("%s/stdout", test_root), *err = fixture_text("%s/stderr", test_root);
	const char *program =
		strcmp(argv[0], "child") == 0 ? fixture_text("%s/tests/loader/child", build_dir()) : argv[0];
	/* The prototype of posix_spawn() has no const. */
	char *const *arguments = (char *const *)(const void *)argv;
	char *const *variables = (char *const *)(const void *)merge_environment(environment);
	posix_spawn_file_actions_t actions;
	pid_t pid;
	int status;

	ck_assert_int_eq(posix_spawn_file_actions_init(&actions), 0);
	(void)posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	(void)posix_spawn_file_actions_addopen(&actions, 2, err, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (directory)
		(void)posix_spawn_file_actions_addchdir_np(&actions, directory);
	int failure = posix_spawnp(&pid, program, &actions, NULL, arguments, variables);
	ck_assert_msg(failure == 0, "%s: %s", program, strerror(failure));
	(void)posix_spawn_file_actions_destroy(&actions);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	return (struct fixture_result){
		.status = WIFEXITED(status) ? WEXITSTATUS(status) : 256 + WTERMSIG(status),
		.out = fixture_read(out, NULL),
		.err = fixture_read(err, NULL),
	};
}

/* ------------------------------------------------------------------------------------------------------------------
 * Around each test
 */

void fixture_skip(const char *test, const char *reason)
{
	printf("SKIP %s: %s\n", test, reason);
	fflush(stdout);
}

bool fixture_may_fork(const char *test)
{
	if (!getenv("ZPOOL_TEST_NO_FORK"))
		return true;
	fixture_skip(test, "this build's sanitizer does not survive fork() in a program with threads");
	return false;
}

bool fixture_may_fork_beside_work(const char *test)
{
	if (!FIXTURE_SANITIZED)
		return fixture_may_fork(test);
	fixture_skip(test, "this build's sanitizer does not survive fork() while other threads allocate memory");
	return false;
}

static void set_up(void)
{
	event_count = 0;
	event_hook = NULL;
	test_root = fixture_text("%s/%d-%u", program_dir, (int)getpid(), tests_begun++);
	ck_assert_int_eq(mkdir(test_root, 0755), 0);
	test_dir = fixture_make_dir("plugins", 0755);
	ck_assert_int_eq(zpool_set_plugin_path(test_dir), 0);
}

static int unload_one(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	if (info->loaded && info->origin == ZPOOL_ORIGIN_FILE)
		(void)zpool_unload_driver(info->type);
	return 0;
}

static void tear_down(void)
{
	fixture_on_event(NULL);
	(void)zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	(void)zpool_each_driver(unload_one, NULL);
	(void)zpool_rescan();
	(void)zpool_set_plugin_path(NULL);
	remove_tree(test_root);
	free(log_text);
	log_text = NULL;
	while (texts) {
		struct text *text = texts;
		texts = text->next;
		free(text);
	}
}

int fixture_run(const char *name, TCase *tests)
{
	const char *tmp = getenv("TMPDIR");
	(void)snprintf(program_dir, sizeof(program_dir), "%s/zpool-loader.XXXXXX", tmp && *tmp ? tmp : "/tmp");
	if (!mkdtemp(program_dir) || chmod(program_dir, 0755) < 0) {
		fprintf(stderr, "%s: %s\n", program_dir, strerror(errno));
		return 99;
	}
	program_pid = getpid();
	(void)atexit(remove_program_dir);
	(void)umask(022);

	Suite *suite = suite_create(name);
	tcase_add_checked_fixture(tests, set_up, tear_down);
	tcase_set_timeout(tests, 30);
	suite_add_tcase(suite, tests);
	return suite_run(suite);
}
