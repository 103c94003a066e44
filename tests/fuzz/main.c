/* SPDX-License-Identifier: MIT
 *
 * main.c - runs a target without a fuzzing engine: files of a corpus, then generated inputs
 *
 * Only regular files whose names begin with a letter or a digit count as inputs.  If the target aborts, the input that
 * it had is written to fuzz-NAME.input in the current directory.
 */
#include "config.h"

#include "fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH_BYTES = 4096, MAX_INPUTS = 4096, MAX_CHANGES = 8, RANDOM_BYTES = 400 };

struct bytes {
	uint8_t *at;
	size_t size;
};

static struct bytes corpus[MAX_INPUTS];
static size_t corpus_count;
static struct bytes current;
static char saved_path[256];

/* ------------------------------------------------------------------------------------------------------------------
 * One input
 */

/* Saves the input with system calls only, because the program may be in any state. */
static void save_input(int number)
{
	static const char text[] = "The input was saved in the current directory as ";
	int fd = open(saved_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

	if (fd >= 0 && write(fd, current.at, current.size) == (ssize_t)current.size &&
	    write(STDERR_FILENO, text, sizeof(text) - 1) > 0 &&
	    write(STDERR_FILENO, saved_path, strlen(saved_path)) > 0)
		(void)!write(STDERR_FILENO, ".\n", 2);
	signal(number, SIG_DFL);
	raise(number);
}

/* The input is in memory of exactly its size, so that a sanitizer detects a read beyond its end. */
static void run(const uint8_t *bytes, size_t size)
{
	uint8_t *input = malloc(size ? size : 1);

	if (!input)
		abort();
	memcpy(input, bytes, size);
	current = (struct bytes){ input, size };
	(void)LLVMFuzzerTestOneInput(input, size);
	free(input);
}

/* ------------------------------------------------------------------------------------------------------------------
 * The corpus
 */

static bool read_file(const char *path, struct bytes *file)
{
	FILE *from = fopen(path, "rbe");

	if (!from) {
		perror(path);
		return false;
	}
	file->at = malloc(FUZZ_MAX_BYTES);
	if (!file->at)
		abort();
	file->size = fread(file->at, 1, FUZZ_MAX_BYTES, from);
	fclose(from);
	return true;
}

/* The name is printed first, so that it is the last line of the output if the target aborts. */
static bool run_file(const char *path, bool keep)
{
	struct bytes file;

	if (!read_file(path, &file))
		return false;
	printf("%s: %zu bytes\n", path, file.size);
	fflush(stdout);
	run(file.at, file.size);
	if (keep && corpus_count < MAX_INPUTS)
		corpus[corpus_count++] = file;
	else
		free(file.at);
	return true;
}

static int is_input(const struct dirent *entry)
{
	unsigned char first = (unsigned char)entry->d_name[0];

	return (first >= '0' && first <= '9') || (first >= 'a' && first <= 'z') || (first >= 'A' && first <= 'Z');
}

static bool run_directory(const char *path, bool keep)
{
	char name[PATH_BYTES];
	struct dirent **entries;
	bool readable = true;
	int count = scandir(path, &entries, is_input, alphasort);

	if (count < 0) {
		perror(path);
		return false;
	}
	for (int i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "%s/%s", path, entries[i]->d_name);
		readable = run_file(name, keep) && readable;
		free(entries[i]);
	}
	free(entries);
	return readable;
}

static bool run_path(const char *path, bool keep)
{
	struct stat status;

	if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return run_directory(path, keep);
	return run_file(path, keep);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Generated inputs
 */

/* Changes the input in one place, and returns its new size. */
static size_t change(uint8_t *buf, size_t size)
{
	size_t at = size ? fuzz_below(size) : 0, length = 1 + fuzz_below(16);
	const struct bytes *other;

	if (length > size - at)
		length = size - at;
	switch (size ? fuzz_below(6) : 5) {
	case 0:
		buf[at] ^= (uint8_t)(1u << fuzz_below(8));
		return size;
	case 1:
		buf[at] = (uint8_t)fuzz_random();
		return size;
	case 2:
		memmove(buf + at, buf + at + length, size - at - length);
		return size - length;
	case 3:
		if (size + length > FUZZ_MAX_BYTES)
			return size;
		memmove(buf + at + length, buf + at, size - at);
		return size + length;
	case 4:
		memmove(buf + fuzz_below(size - length + 1), buf + at, length);
		return size;
	default:
		other = &corpus[fuzz_below(corpus_count)];
		if (!other->size || at + other->size > FUZZ_MAX_BYTES)
			return size;
		memcpy(buf + at, other->at, other->size);
		return at + other->size;
	}
}

/* Most inputs are changed inputs of the corpus, and the others are bytes at random. */
static size_t change_corpus(uint8_t *buf)
{
	const struct bytes *from = &corpus[fuzz_below(corpus_count)];
	size_t size = from->size;

	if (fuzz_below(4) == 0) {
		size = fuzz_below(RANDOM_BYTES);
		for (size_t i = 0; i < size; i++)
			buf[i] = (uint8_t)fuzz_random();
		return size;
	}
	memcpy(buf, from->at, size);
	for (size_t changes = 1 + fuzz_below(MAX_CHANGES); changes; changes--)
		size = change(buf, size);
	return size;
}

static uint64_t number_from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);

	return text && *text ? strtoull(text, NULL, 10) : otherwise;
}

static void run_generated(void)
{
	size_t (*generate)(uint8_t * buf) = fuzz_target.generate ? fuzz_target.generate : change_corpus;
	uint8_t *buf = malloc(FUZZ_MAX_BYTES);
	struct timespec now;
	uint64_t seed, runs;

	if (!buf)
		abort();
	(void)clock_gettime(CLOCK_REALTIME, &now);
	seed = number_from_environment("FUZZ_SEED", (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
	runs = number_from_environment("FUZZ_RUNS", fuzz_target.runs);
	printf("FUZZ_SEED=%llu FUZZ_RUNS=%llu\n", (unsigned long long)seed, (unsigned long long)runs);
	fflush(stdout);
	fuzz_seed(seed);
	for (uint64_t i = 0; i < runs; i++)
		run(buf, generate(buf));
	free(buf);
}

static bool run_corpus(void)
{
	const char *top = getenv("abs_top_srcdir");
	char path[PATH_BYTES];

	(void)snprintf(path, sizeof(path), "%s/tests/fuzz/corpus/%s", top ? top : ".", fuzz_target.name);
	if (!run_directory(path, true))
		return false;
	if (!corpus_count)
		fprintf(stderr, "%s: there are no inputs\n", path);
	return corpus_count > 0;
}

int main(int argc, char **argv)
{
	bool readable = true;

	(void)snprintf(saved_path, sizeof(saved_path), "fuzz-%s.input", fuzz_target.name);
	signal(SIGABRT, save_input);
	(void)LLVMFuzzerInitialize(&argc, &argv);
	if (argc > 1) {
		for (int i = 1; i < argc; i++)
			readable = run_path(argv[i], false) && readable;
		return readable ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	readable = run_corpus();
	if (readable)
		run_generated();
	for (size_t i = 0; i < corpus_count; i++)
		free(corpus[i].at);
	return readable ? EXIT_SUCCESS : EXIT_FAILURE;
}
