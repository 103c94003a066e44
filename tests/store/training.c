/* SPDX-License-Identifier: MIT
 *
 * training.c - what the training of a dictionary reports when another thread trains already, when the limit is lowered
 * meanwhile, and when zstd cannot train
 *
 * The function of libzstd that trains is replaced by the one below.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>

#include <zdict.h>
#include <zstd_errors.h>

#include "documents.h"
#include "tests/suite.h"
#include "zpool-store.h"

enum { UNIT = 512, DOCUMENTS = 3000 };

static struct zpool_store *store;
static size_t answer;
static void (*during_training)(void);

/* A dictionary without a header of zstd's is any text that resembles the values. */
size_t ZDICT_trainFromBuffer(void *dictionary, size_t room, const void *samples, const size_t *lengths,
			     unsigned int count)
{
	(void)lengths;
	(void)count;
	if (during_training)
		during_training();
	if (answer)
		return answer;
	memcpy(dictionary, samples, room);
	return room;
}

static void set_up(void)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;
	unsigned char value[UNIT];

	args.pool = "zsmalloc";
	args.compressor = "zstd:1";
	args.unit_bytes = UNIT;
	args.train_bytes = 2048;
	store = zpool_store_open(&args, sizeof(args));
	ck_assert_msg(store, "%s", zpool_last_error());
	for (uint64_t key = 0; key < DOCUMENTS; key++)
		ck_assert_int_eq(zpool_store_put(store, key, value, document_make(value, UNIT, 0, key)), 0);
}

static void tear_down(void)
{
	zpool_store_close(store);
}

static struct zpool_store_stats stats(void)
{
	struct zpool_store_stats all;

	ck_assert_int_eq(zpool_store_get_stats(store, &all, sizeof(all)), 0);
	return all;
}

static void expect_failure(int err, const char *words)
{
	ck_assert_int_eq(zpool_store_train(store), err);
	ck_assert_msg(strstr(zpool_last_error(), words), "%s", zpool_last_error());
}

static void *train_meanwhile(void *unused)
{
	(void)unused;
	expect_failure(-EBUSY, "Another thread is training");
	return NULL;
}

static void let_another_thread_train(void)
{
	pthread_t thread;

	ck_assert_int_eq(pthread_create(&thread, NULL, train_meanwhile, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}

START_TEST(two_threads_do_not_train_at_once)
{
	during_training = let_another_thread_train;
	ck_assert_msg(zpool_store_train(store) == 1, "%s", zpool_last_error());
	ck_assert_uint_eq(stats().dictionaries_trained, 1);
}
END_TEST

static void lower_the_limit(void)
{
	ck_assert_int_eq(zpool_store_set_limit(store, zpool_store_get_total_size(store)), 0);
}

START_TEST(dictionary_beyond_a_limit_that_was_lowered_meanwhile_is_discarded)
{
	during_training = lower_the_limit;
	expect_failure(-ENOMEM, "leaves no room for a dictionary");
	ck_assert_uint_eq(stats().dictionaries, 0);
	ck_assert_uint_eq(stats().dictionaries_trained, 0);
	ck_assert_int_eq(zpool_store_set_limit(store, 0), 0);
	during_training = NULL;
	ck_assert_msg(zpool_store_train(store) == 1, "%s", zpool_last_error());
}
END_TEST

START_TEST(reason_why_zstd_cannot_train_is_reported)
{
	answer = (size_t)-ZSTD_error_memory_allocation;
	expect_failure(-ENOMEM, "no memory for training");
	answer = (size_t)-ZSTD_error_srcSize_wrong;
	expect_failure(-ENODATA, "too short to train a dictionary from");
	ck_assert_uint_eq(stats().dictionaries_rejected, 0);
	answer = (size_t)-ZSTD_error_dictionaryCreation_failed;
	ck_assert_int_eq(zpool_store_train(store), 0);
	ck_assert_uint_eq(stats().dictionaries_rejected, 1);
	ck_assert_uint_eq(stats().dictionaries, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("training");
	TCase *tcase = tcase_create("training");

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, two_threads_do_not_train_at_once);
	tcase_add_test(tcase, dictionary_beyond_a_limit_that_was_lowered_meanwhile_is_discarded);
	tcase_add_test(tcase, reason_why_zstd_cannot_train_is_reported);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
