/* SPDX-License-Identifier: MIT
 *
 * cancel.c - no thread is cancelled inside a function of libzpool-store
 *
 * The backing and the compressor belong to the program, and each of their functions is a cancellation point.  So are
 * the calls of the system on a file.  Each public function is called by a thread for which a cancellation request is
 * pending: it must return, and the request must take effect afterwards.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "drivers.h"
#include "tests/suite.h"
#include "zpool-store.h"

#define UNIT 2048
#define KEYS 200
#define PATIENCE_S 20

/* ------------------------------------------------------------------------------------------------------------------
 * The program's functions
 */

static unsigned char image[KEYS * UNIT];

static int64_t image_size(void *user)
{
	(void)user;
	pthread_testcancel();
	return sizeof(image);
}

static int64_t image_pread(void *user, void *buf, size_t bytes, uint64_t offset)
{
	(void)user;
	pthread_testcancel();
	memcpy(buf, image + offset, bytes);
	return (int64_t)bytes;
}

static int64_t image_pwrite(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	(void)user;
	pthread_testcancel();
	memcpy(image + offset, buf, bytes);
	return (int64_t)bytes;
}

static int image_flush(void *user)
{
	(void)user;
	pthread_testcancel();
	return 0;
}

static int image_zero(void *user, uint64_t offset, uint64_t bytes)
{
	(void)user;
	pthread_testcancel();
	memset(image + offset, 0, bytes);
	return 0;
}

static int64_t image_next_extent(void *user, uint64_t offset, uint64_t bytes, int *is_hole)
{
	(void)user, (void)offset;
	pthread_testcancel();
	*is_hole = 0;
	return (int64_t)bytes;
}

static void image_close(void *user)
{
	(void)user;
	pthread_testcancel();
}

static const struct zpool_store_backing backing = {
	.struct_size = sizeof(backing),
	.size = image_size,
	.pread = image_pread,
	.pwrite = image_pwrite,
	.flush = image_flush,
	.discard = image_zero,
	.zero = image_zero,
	.next_extent = image_next_extent,
	.close = image_close,
};

static const struct zpool_store_compressor *lz4;

static void *packer_create(int level)
{
	pthread_testcancel();
	return lz4->create(level);
}

static void packer_destroy(void *context)
{
	pthread_testcancel();
	lz4->destroy(context);
}

static size_t packer_context_bytes(const void *context)
{
	pthread_testcancel();
	return lz4->context_bytes(context);
}

static size_t packer_compress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	pthread_testcancel();
	return lz4->compress(context, from, bytes, to, room);
}

static size_t packer_decompress(void *context, const void *from, size_t bytes, void *to, size_t room)
{
	pthread_testcancel();
	return lz4->decompress(context, from, bytes, to, room);
}

/* ------------------------------------------------------------------------------------------------------------------
 * Each function of zpool-store.h
 */

struct trial {
	struct zpool_store *store;
	struct zpool_store_args args;
	_Atomic bool returned;
	int state_after;
};

static char path[64];

static void fill_value(unsigned char *value, uint64_t key)
{
	for (size_t i = 0; i < UNIT; i++)
		value[i] = (unsigned char)("a value of a program: "[i % 22] + (i == key % UNIT) + (i == 5 ? key : 0));
}

static void call_put(struct trial *trial)
{
	unsigned char value[UNIT];

	for (uint64_t key = 0; key < KEYS; key++) {
		fill_value(value, key);
		(void)zpool_store_put(trial->store, key, value, UNIT);
	}
}

static void call_get(struct trial *trial)
{
	unsigned char value[UNIT];

	for (uint64_t key = 0; key < KEYS; key++)
		(void)zpool_store_get(trial->store, key, value, UNIT);
}

static void call_read(struct trial *trial)
{
	unsigned char value[UNIT];

	for (uint64_t key = 0; key < KEYS; key++)
		(void)zpool_store_read(trial->store, key, value, UNIT, ZPOOL_STORE_NOREUSE);
}

static void call_drop(struct trial *trial)
{
	(void)zpool_store_drop(trial->store, 1);
	(void)zpool_store_drop(trial->store, 1);
}

static void call_drop_range(struct trial *trial)
{
	(void)zpool_store_drop_range(trial->store, 10, 50);
}

static void call_zero_range(struct trial *trial)
{
	(void)zpool_store_zero_range(trial->store, 0, KEYS);
}

static void call_flush(struct trial *trial)
{
	(void)zpool_store_flush(trial->store);
}

static void call_sync(struct trial *trial)
{
	call_put(trial);
	(void)zpool_store_sync(trial->store, 0, KEYS / 2);
}

static void call_prefetch(struct trial *trial)
{
	(void)zpool_store_prefetch(trial->store, 0, KEYS);
}

static void call_shrink(struct trial *trial)
{
	uint64_t released;

	(void)zpool_store_shrink(trial->store, 1 << 20, &released);
}

static void call_next_extent(struct trial *trial)
{
	uint64_t count;

	(void)zpool_store_next_extent(trial->store, 0, KEYS, &count);
}

static void call_recompress(struct trial *trial)
{
	call_put(trial);
	(void)zpool_store_recompress(trial->store, ZPOOL_STORE_RECOMPRESS_ALL, 0);
}

static void call_train(struct trial *trial)
{
	unsigned char dictionary[4096];

	call_put(trial);
	(void)zpool_store_train(trial->store);
	(void)zpool_store_get_dictionary(trial->store, dictionary, sizeof(dictionary));
}

static void call_watch(struct trial *trial)
{
	struct zpool_store_pressure args = ZPOOL_STORE_PRESSURE_INIT;
	int ends[2];

	(void)zpool_store_watch_pressure(trial->store, NULL, 0);
	(void)zpool_store_unwatch_pressure(trial->store);
	if (pipe(ends))
		return;
	args.fd = ends[0];
	(void)zpool_store_watch_pressure(trial->store, &args, sizeof(args));
	(void)zpool_store_watch_pressure(trial->store, &args, sizeof(args));
	(void)zpool_store_unwatch_pressure(trial->store);
	(void)zpool_store_unwatch_pressure(trial->store);
	/* Closing is a cancellation point of this test. */
	int state;
	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	(void)close(ends[0]);
	(void)close(ends[1]);
	(void)pthread_setcancelstate(state, &state);
}

static void call_compact(struct trial *trial)
{
	(void)zpool_store_compact(trial->store, 0, 0);
}

static void call_getters(struct trial *trial)
{
	struct zpool_store_stats stats;

	(void)zpool_store_get_stats(trial->store, &stats, sizeof(stats));
	(void)zpool_store_get_pool(trial->store);
	(void)zpool_store_get_total_size(trial->store);
	(void)zpool_store_set_limit(trial->store, 0);
	(void)zpool_store_set_limit(trial->store, trial->args.limit_bytes);
}

static void call_compressors(struct trial *trial)
{
	const struct zpool_store_compressor *found;
	int level;

	(void)trial;
	(void)zpool_store_find_compressor("zstd:3", &found, &level);
	(void)zpool_store_find_compressor("no_such_compressor", &found, &level);
	(void)zpool_store_add_compressor(lz4);
}

static void call_close_and_open(struct trial *trial)
{
	call_put(trial);
	zpool_store_close(trial->store);
	trial->store = zpool_store_open(&trial->args, sizeof(trial->args));
}

static void call_open_in_vain(struct trial *trial)
{
	struct zpool_store_args args = trial->args;

	args.limit_bytes = 1;
	zpool_store_close(zpool_store_open(&args, sizeof(args)));
	args.pool = "no_such_driver";
	zpool_store_close(zpool_store_open(&args, sizeof(args)));
}

static const struct {
	const char *names; /* the functions that it calls, each followed by a space */
	void (*fn)(struct trial *trial);
} calls[] = {
	{ "zpool_store_put ", call_put },
	{ "zpool_store_get ", call_get },
	{ "zpool_store_read ", call_read },
	{ "zpool_store_flush ", call_flush },
	{ "zpool_store_drop ", call_drop },
	{ "zpool_store_drop_range ", call_drop_range },
	{ "zpool_store_zero_range ", call_zero_range },
	{ "zpool_store_sync ", call_sync },
	{ "zpool_store_shrink ", call_shrink },
	{ "zpool_store_prefetch ", call_prefetch },
	{ "zpool_store_next_extent ", call_next_extent },
	{ "zpool_store_recompress ", call_recompress },
	{ "zpool_store_train zpool_store_get_dictionary ", call_train },
	{ "zpool_store_watch_pressure zpool_store_unwatch_pressure ", call_watch },
	{ "zpool_store_compact ", call_compact },
	{ "zpool_store_get_stats zpool_store_get_pool zpool_store_get_total_size zpool_store_set_limit ",
	  call_getters },
	{ "zpool_store_find_compressor zpool_store_add_compressor ", call_compressors },
	{ "zpool_store_close zpool_store_open ", call_close_and_open },
	{ "zpool_store_open of what cannot be opened ", call_open_in_vain },
};
enum { CALLS_MADE = sizeof(calls) / sizeof(calls[0]) };

/* ------------------------------------------------------------------------------------------------------------------
 * Trials
 */

static int call_number;

static void *make_call_cancelled(void *arg)
{
	struct trial *trial = arg;
	int state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	(void)pthread_cancel(pthread_self());
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &state);
	calls[call_number].fn(trial);
	atomic_store(&trial->returned, true);
	(void)pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &trial->state_after);
	pthread_testcancel();
	return NULL;
}

/* All locks and contexts are free afterwards, so another thread can make every call. */
static void *make_every_call(void *trial)
{
	for (int i = 0; i < CALLS_MADE; i++)
		calls[i].fn(trial);
	return NULL;
}

static void *run_bounded(void *(*fn)(void *), struct trial *trial, const char *what)
{
	struct timespec until;
	pthread_t thread;
	void *result = NULL;

	ck_assert_int_eq(pthread_create(&thread, NULL, fn, trial), 0);
	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += PATIENCE_S;
	ck_assert_msg(pthread_timedjoin_np(thread, &result, &until) == 0, "%s on %s does not end", what,
		      trial->args.pool);
	return result;
}

static void check_values(struct trial *trial)
{
	unsigned char value[UNIT], expected[UNIT];

	call_put(trial);
	ck_assert_int_eq(zpool_store_flush(trial->store), 0);
	for (uint64_t key = 0; key < KEYS; key++) {
		fill_value(expected, key);
		ck_assert_int_eq(zpool_store_get(trial->store, key, value, UNIT), UNIT);
		ck_assert_int_eq(memcmp(value, expected, UNIT), 0);
	}
}

static void try_each_call(const char *spec, bool is_file)
{
	struct trial trial = { .args = ZPOOL_STORE_ARGS_INIT };

	trial.args.pool = spec;
	trial.args.compressor = is_file ? "zstd" : "cancelled";
	trial.args.recompressor = "zstd:9";
	trial.args.train_bytes = 1024;
	trial.args.unit_bytes = UNIT;
	trial.args.unit_count = KEYS;
	trial.args.flags = is_file ? ZPOOL_STORE_CREATE : 0;
	trial.args.backing_path = is_file ? path : NULL;
	trial.args.backing = is_file ? NULL : &backing;
	trial.store = zpool_store_open(&trial.args, sizeof(trial.args));
	ck_assert_msg(trial.store != NULL, "%s: %s", spec, zpool_last_error());
	call_put(&trial);
	for (call_number = 0; call_number < CALLS_MADE; call_number++) {
		const char *names = calls[call_number].names;
		void *result;

		atomic_store(&trial.returned, false);
		result = run_bounded(make_call_cancelled, &trial, names);
		ck_assert_msg(atomic_load(&trial.returned), "%s: the thread was cancelled inside %s", spec, names);
		ck_assert_msg(result == PTHREAD_CANCELED, "%s: the cancellation request was lost in %s", spec, names);
		ck_assert_int_eq(trial.state_after, PTHREAD_CANCEL_ENABLE);
		ck_assert_msg(trial.store != NULL, "%s: %s: %s", spec, names, zpool_last_error());
	}
	(void)run_bounded(make_every_call, &trial, "a call");
	check_values(&trial);
	zpool_store_close(trial.store);
}

START_TEST(call_on_a_store_is_finished_before_its_thread_is_cancelled)
{
	try_each_call(specs[_i], false);
}
END_TEST

START_TEST(call_on_a_file_is_finished_before_its_thread_is_cancelled)
{
	try_each_call("zsmalloc", true);
	ck_assert_int_eq(unlink(path), 0);
}
END_TEST

/* The export map has one name per line, followed by a semicolon. */
START_TEST(every_function_of_the_store_is_tried)
{
	char line[128], name[64], word[80];
	FILE *map = fopen(TEST_EXPORT_MAP, "re");

	ck_assert_ptr_nonnull(map);
	while (fgets(line, sizeof(line), map)) {
		bool tried = false;

		if (sscanf(line, " zpool_store_%63[a-z_];", name) != 1)
			continue;
		(void)snprintf(word, sizeof(word), "zpool_store_%s ", name);
		for (int i = 0; i < CALLS_MADE; i++)
			tried = tried || strstr(calls[i].names, word);
		ck_assert_msg(tried, "%sis a public function that this test does not call: add a case to `calls'",
			      word);
	}
	(void)fclose(map);
}
END_TEST

static void setup(void)
{
	static struct zpool_store_compressor packer = { .create = packer_create };
	int level;

	(void)snprintf(path, sizeof(path), "store-cancel-%ld.img", (long)getpid());
	ck_assert_int_eq(zpool_store_find_compressor("lz4", &lz4, &level), 0);
	if (packer.name)
		return;
	packer = *lz4;
	packer.name = "cancelled";
	packer.create = packer_create;
	packer.destroy = packer_destroy;
	packer.context_bytes = packer_context_bytes;
	packer.compress = packer_compress;
	packer.decompress = packer_decompress;
	ck_assert_int_eq(zpool_store_add_compressor(&packer), 0);
}

int main(void)
{
	Suite *suite = suite_create("store: cancel");
	TCase *tcase = tcase_create("store: cancel");

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, every_function_of_the_store_is_tried);
	tcase_add_loop_test(tcase, call_on_a_store_is_finished_before_its_thread_is_cancelled, 0, SPECS);
	tcase_add_test(tcase, call_on_a_file_is_finished_before_its_thread_is_cancelled);
	tcase_set_timeout(tcase, 3 * PATIENCE_S);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
