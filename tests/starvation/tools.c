/* SPDX-License-Identifier: MIT
 *
 * tools.c - zpoolctl while calls of the C library fail, for each of its commands
 *
 * Whatever fails, the tool exits with one of its documented statuses, says why if it is not 0, leaves no temporary
 * file, and writes a file either completely or not at all.  If it exits with 0, its output is that of a run
 * without failures.
 */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/starvation/starve.h"

enum { ARGUMENTS_MAX = 12, STATUS_MAX = 4, FAULTS_MAX = 60, TEXT_BYTES = 1 << 16, PATH_BYTES = 4096, SKIPPED = 77 };

/* "OUT" stands for the file that the command writes, and DATA, TRACE and NEW for other files. */
struct command {
	const char *name;
	const char *arguments[ARGUMENTS_MAX];
	bool repeats; /* its output is the same in every run */
};

static const struct command commands[] = {
	{ "help", { "help" }, true },
	{ "list", { "list" }, true },
	{ "list json", { "list", "--json" }, true },
	{ "info", { "info", "zbud" }, true },
	{ "info json", { "info", "--json", "guard" }, true },
	{ "new", { "new", "--dir", "NEW", "shelf" }, false },
	{ "store", { "store", "-t", "zbud", "--sizes", "OUT", "DATA" }, false },
	{ "store limit", { "store", "-t", "zsmalloc", "--limit", "128K", "--json", "--stats", "DATA" }, false },
	{ "replay", { "replay", "-t", "zblock", "--json", "TRACE" }, false },
	{ "check",
	  { "check", "--case", "driver_is_found_by_its_name", "--jobs", "1", "--junit", "OUT", "zbud" },
	  false },
	{ "bench",
	  { "bench", "--objects", "1000", "--rounds", "1", "--peer", "none", "-t", "libc", "-w", "fill", "--json" },
	  false },
};
enum { COMMANDS = sizeof(commands) / sizeof(commands[0]) };

#define KIND_NAME(id, name, error) name,
#define KIND_ERROR(id, name, error) error,
static const char *const kinds[] = { STARVE_KINDS(KIND_NAME) };
static const int errors[] = { STARVE_KINDS(KIND_ERROR) };

static char work[64], tool[PATH_BYTES], shim[PATH_BYTES];
static char paths[8][PATH_BYTES];
enum { OUT, DATA, TRACE, NEW, TMP, STDOUT, STDERR, COUNTS };
static const char *const names[] = { "OUT", "DATA", "TRACE", "NEW", "tmp", "stdout", "stderr", "counts" };
static const char old_text[] = "the old contents\n";
static char clean_output[TEXT_BYTES];

static uint64_t runs, faults, seed;
static bool all;
static unsigned int samples = 1;
static const struct command *command;
static const char *kind;
static int kind_error;
static uint64_t nth;
static bool on;

/* ---- faults ---- */

__attribute__((format(printf, 1, 2))) static void fault(const char *format, ...)
{
	va_list args;

	faults++;
	printf("FAULT: %s: %s %llu%s: ", command->name, kind, (unsigned long long)nth, on ? " and later" : "");
	va_start(args, format);
	(void)vprintf(format, args);
	va_end(args);
	printf("\n    repeat: STARVE_KIND=%s STARVE_NTH=%llu %sLD_PRELOAD=starve.so zpoolctl", kind,
	       (unsigned long long)nth, on ? "STARVE_ON=1 " : "");
	for (unsigned int i = 0; command->arguments[i]; i++)
		printf(" %s", command->arguments[i]);
	printf("\n");
	(void)fflush(stdout);
}

/* ---- files ---- */

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	if (file) {
		(void)fputs(text, file);
		(void)fclose(file);
	}
}

static size_t read_file(const char *path, char *text)
{
	FILE *file = fopen(path, "re");
	size_t length = file ? fread(text, 1, TEXT_BYTES - 1, file) : 0;

	text[length] = '\0';
	if (file)
		(void)fclose(file);
	return length;
}

static unsigned int count_files(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int count = 0;

	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
	if (dir)
		(void)closedir(dir);
	return count;
}

static void remove_tree(const char *path)
{
	char entry_path[2 * PATH_BYTES];
	DIR *dir = opendir(path);

	for (const struct dirent *entry; dir && (entry = readdir(dir));) {
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		(void)snprintf(entry_path, sizeof(entry_path), "%s/%s", path, entry->d_name);
		if (unlink(entry_path) && (errno == EISDIR || errno == EPERM))
			remove_tree(entry_path);
	}
	if (dir)
		(void)closedir(dir);
	(void)rmdir(path);
}

/* ---- one run ---- */

static void set_failure(const char *counts)
{
	char text[32];

	(void)setenv("LD_PRELOAD", shim, 1);
	(void)setenv("TMPDIR", paths[TMP], 1);
	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)nth);
	(void)setenv("STARVE_KIND", kind, 1);
	(void)setenv("STARVE_NTH", text, 1);
	if (on)
		(void)setenv("STARVE_ON", "1", 1);
	if (counts)
		(void)setenv("STARVE_COUNTS", counts, 1);
}

static void become_tool(const char *counts)
{
	struct rlimit no_core = { 0, 0 };
	const char *arguments[ARGUMENTS_MAX + 1] = { "zpoolctl" };
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int out = open(paths[STDOUT], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int err = open(paths[STDERR], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	for (unsigned int i = 0; i + 1 < ARGUMENTS_MAX && command->arguments[i]; i++) {
		arguments[i + 1] = command->arguments[i];
		for (unsigned int j = OUT; j <= NEW; j++)
			if (strcmp(command->arguments[i], names[j]) == 0)
				arguments[i + 1] = paths[j];
	}
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)dup2(nothing, STDIN_FILENO);
	(void)dup2(out, STDOUT_FILENO);
	(void)dup2(err, STDERR_FILENO);
	(void)alarm(600);
	set_failure(counts);
	(void)execv(tool, (char *const *)(uintptr_t)arguments);
	_exit(127);
}

/* Returns the status of waitpid(). */
static int run_tool(const char *counts)
{
	int status = -1;
	pid_t pid;

	remove_tree(paths[NEW]);
	write_file(paths[OUT], old_text);
	(void)fflush(stdout);
	pid = fork();
	if (pid == 0)
		become_tool(counts);
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		perror("zpoolctl cannot be started");
	runs++;
	return status;
}

/*
 * A project must be complete or absent.  A file must have its old contents or the complete new ones, which are longer.
 */
static void check_written(int status)
{
	static char text[TEXT_BYTES];
	unsigned int files = count_files(paths[NEW]);

	/* Standard output is closed when the project is complete. */
	if (files && status != 0 && strcmp(kind, kinds[STARVE_CLOSE]) != 0)
		fault("%u files of a project are left", files);
	if (strcmp(command->name, "new") == 0 && status == 0 && files == 0)
		fault("no project was written");
	(void)read_file(paths[OUT], text);
	if (status != 0 && strcmp(text, old_text) != 0 && strlen(text) < 64)
		fault("a file was written in part: \"%s\"", text);
	if (count_files(paths[TMP]))
		fault("%u temporary files are left", count_files(paths[TMP]));
	remove_tree(paths[TMP]);
	(void)mkdir(paths[TMP], 0700);
}

/* Without memory, the C library prints help in part or not at all, or ends the program with an assertion. */
static bool is_fault_of_argp(int status, const char *output)
{
	return strcmp(command->name, "help") == 0 && kind_error == ENOMEM &&
	       (status == 0 ? strlen(output) < strlen(clean_output)
			    : WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
}

static void check_run(int status)
{
	static char output[TEXT_BYTES], messages[TEXT_BYTES];

	(void)read_file(paths[STDOUT], output);
	(void)read_file(paths[STDERR], messages);
	if (is_fault_of_argp(status, output))
		return;
	if (!WIFEXITED(status)) {
		fault("killed by signal %d: %s", WTERMSIG(status), messages);
		return;
	}
	status = WEXITSTATUS(status);
	if (status > STATUS_MAX)
		fault("exit status %d: %s", status, messages);
	if (status == 0 && nth && strcmp(kind, kinds[STARVE_CLOSE]) == 0)
		fault("exit status 0, although standard output could not be closed without an error");
	if (status != 0 && !messages[0] && !output[0])
		fault("exit status %d, and no message", status);
	/* A list also contains plugins whose files cannot be read, and says so. */
	if (status == 0 && command->repeats && strcmp(output, clean_output) != 0 &&
	    !strstr(output, strerror(kind_error)) && !strstr(output, "\"file_read\": false"))
		fault("exit status 0, and another output: %s%s", output, messages);
	check_written(status);
}

/* ---- all runs ---- */

static uint64_t draw(uint64_t bound)
{
	seed ^= seed >> 12;
	seed ^= seed << 25;
	seed ^= seed >> 27;
	return seed * UINT64_C(0x2545f4914f6cdd1d) % bound;
}

/* Each process counts its own calls, so the calls to fail are those up to the largest count. */
static bool count_calls(uint64_t *calls)
{
	unsigned long long count;
	char name[32];
	FILE *file;
	int status;

	kind = "malloc";
	nth = 0;
	on = false;
	memset(calls, 0, STARVE_KIND_COUNT * sizeof(*calls));
	(void)unlink(paths[COUNTS]);
	status = run_tool(paths[COUNTS]);
	if (status != 0) {
		fault("it fails without a failing call, with status %d", status);
		return false;
	}
	(void)read_file(paths[STDOUT], clean_output);
	check_run(status);
	file = fopen(paths[COUNTS], "re");
	while (file && fscanf(file, "%31s %llu", name, &count) == 2)
		for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++)
			if (strcmp(name, kinds[i]) == 0 && count > calls[i])
				calls[i] = count;
	if (file)
		(void)fclose(file);
	printf("# zpoolctl %s:", command->name);
	for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++)
		if (calls[i])
			printf(" %s %llu", kinds[i], (unsigned long long)calls[i]);
	printf("\n");
	return true;
}

static void run_kind(uint64_t calls)
{
	for (uint64_t i = 1; i <= calls && faults < FAULTS_MAX; i++) {
		if (!all && i > samples)
			return;
		nth = all ? i : draw(calls) + 1;
		check_run(run_tool(NULL));
	}
}

static void run_command(void)
{
	uint64_t calls[STARVE_KIND_COUNT];

	clean_output[0] = '\0';
	if (!count_calls(calls))
		return;
	(void)read_file(paths[STDOUT], clean_output);
	if (!calls[STARVE_CLOSE])
		fault("it does not close its standard output, so an error that only close(2) reports is lost");
	for (unsigned int i = 0; i < STARVE_KIND_COUNT; i++) {
		kind = kinds[i];
		kind_error = errors[i];
		on = draw(2);
		run_kind(calls[i]);
		on = !on;
		if (all)
			run_kind(calls[i]);
	}
}

/* ---- preparation ---- */

static void remove_work(void)
{
	remove_tree(work);
}

static bool make_trace(const char *top)
{
	char line[3 * PATH_BYTES];

	(void)snprintf(line, sizeof(line), "'%s/tests/tools/recorder' 'trace:file=%s+zsmalloc' 300 1 >/dev/null", top,
		       paths[TRACE]);
	return system(line) == 0;
}

static void make_data(void)
{
	FILE *file = fopen(paths[DATA], "we");

	for (unsigned int i = 0; file && i < 8000; i++)
		(void)fprintf(file, "line %u of a text that shrinks well\n", i);
	if (file)
		(void)fclose(file);
}

static bool prepare(const char *top)
{
	(void)umask(022);
	(void)snprintf(work, sizeof(work), "/tmp/zpool-starvation-XXXXXX");
	if (!mkdtemp(work))
		return false;
	(void)atexit(remove_work);
	for (unsigned int i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		(void)snprintf(paths[i], PATH_BYTES, "%s/%s", work, names[i]);
	(void)mkdir(paths[TMP], 0700);
	(void)snprintf(tool, sizeof(tool), "%s/tools/.libs/zpoolctl", top);
	if (access(tool, X_OK))
		(void)snprintf(tool, sizeof(tool), "%s/tools/zpoolctl", top);
	(void)snprintf(shim, sizeof(shim), "%s/tests/starvation/.libs/starve.so", top);
	(void)snprintf(clean_output, sizeof(clean_output), "%s/libzpool/.libs:%s/store/.libs", top, top);
	(void)setenv("LD_LIBRARY_PATH", clean_output, 1);
	(void)setenv("LC_ALL", "C", 1);
	make_data();
	return make_trace(top);
}

static void choose_seed(void)
{
	const char *given = getenv("ZPOOL_TEST_SEED");
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	seed = given ? strtoull(given, NULL, 0) : ((uint64_t)now.tv_nsec << 20 ^ (uint64_t)now.tv_sec);
	seed |= 1;
	printf("# ZPOOL_TEST_SEED=%#llx\n", (unsigned long long)seed);
}

int main(int argc, char **argv)
{
	const char *top = getenv("abs_top_builddir"), *only = NULL;

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
	printf("skipped: the sanitizer has its own malloc()\n");
	return SKIPPED;
#endif
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--all") == 0)
			all = true;
		else
			only = argv[i];
	}
	if (top && strpbrk(top, STARVE_PATH_ENDS)) {
		printf(STARVE_PATH_SKIPPED);
		return SKIPPED;
	}
	if (!top || getenv("LD_PRELOAD") || !prepare(top)) {
		printf("skipped: another library replaces malloc(), or the test cannot be prepared\n");
		return SKIPPED;
	}
	choose_seed();
	for (unsigned int i = 0; i < COMMANDS; i++) {
		command = &commands[i];
		if (!only || strcmp(only, command->name) == 0)
			run_command();
	}
	printf("%llu runs, %llu faults\n", (unsigned long long)runs, (unsigned long long)faults);
	return faults ? 1 : 0;
}
