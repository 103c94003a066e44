/* SPDX-License-Identifier: MIT
 *
 * dictionary.c - a store with a zstd dictionary, given or trained, stores similar documents in less memory, and every
 * value comes back, whichever dictionary it was compressed with
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "documents.h"
#include "drivers.h"
#include "image.h"
#include "tests/suite.h"

#define DOCUMENTS 3000
#define NOISE_KIND 99 /* Values of this kind are noise. */

static unsigned char value[4096], other[4096];
static struct zpool_store *store;
static size_t unit_bytes = 512;

static struct zpool_store_args args_for(const char *pool)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = pool;
	args.compressor = "zstd:1";
	args.unit_bytes = unit_bytes;
	return args;
}

static void open_store(const struct zpool_store_args *args)
{
	store = zpool_store_open(args, sizeof(*args));
	ck_assert_msg(store, "%s", zpool_last_error());
}

static struct zpool_store_stats stats(void)
{
	struct zpool_store_stats all;

	ck_assert_int_eq(zpool_store_get_stats(store, &all, sizeof(all)), 0);
	ck_assert_uint_eq(zpool_store_get_total_size(store),
			  all.pool_bytes + all.index_bytes + all.context_bytes + all.dictionary_bytes);
	return all;
}

static size_t make(unsigned char *to, unsigned int kind, uint64_t number)
{
	uint32_t seed = (uint32_t)number * 2654435761U + 1;

	if (kind != NOISE_KIND)
		return document_make(to, unit_bytes, kind, number);
	for (size_t i = 0; i < unit_bytes; i++) {
		seed = seed * 1664525 + 1013904223;
		to[i] = (unsigned char)(seed >> 24);
	}
	return unit_bytes;
}

static void put(unsigned int kind, uint64_t key)
{
	ck_assert_int_eq(zpool_store_put(store, key, value, make(value, kind, key)), 0);
}

static void put_all(unsigned int kind, uint64_t first, uint64_t count)
{
	for (uint64_t key = first; key < first + count; key++)
		put(kind, key);
}

static void expect(unsigned int kind, uint64_t first, uint64_t count)
{
	for (uint64_t key = first; key < first + count; key++) {
		size_t bytes = make(value, kind, key);

		ck_assert_msg(zpool_store_get(store, key, other, sizeof(other)) == (int64_t)bytes, "key %d: %s",
			      (int)key, zpool_last_error());
		ck_assert_mem_eq(other, value, bytes);
	}
}

/* Gives a dictionary that is a few documents of a kind, without a header of zstd's. */
static void give_text(struct zpool_store_args *args, unsigned int kind)
{
	static unsigned char text[2048];
	uint64_t bytes = 0;

	for (uint64_t number = 1000000; bytes < sizeof(text) - unit_bytes; number++)
		bytes += make(text + bytes, kind, number);
	args->dictionary = text;
	args->dictionary_bytes = bytes;
}

START_TEST(dictionary_of_the_program_is_used_on_every_driver)
{
	struct zpool_store_args args = args_for(specs[_i]);
	uint64_t plain;

	open_store(&args);
	put_all(0, 0, 200);
	plain = stats().stored_bytes;
	zpool_store_close(store);
	give_text(&args, 0);
	open_store(&args);
	memset((void *)(uintptr_t)args.dictionary, 0, (size_t)args.dictionary_bytes); /* The store has a copy. */
	put_all(0, 0, 200);
	ck_assert_uint_lt(stats().stored_bytes, plain * 3 / 4);
	ck_assert_uint_eq(stats().dictionary_units, 200);
	ck_assert_uint_eq(stats().dictionaries, 1);
	ck_assert_uint_gt(stats().dictionary_bytes, args.dictionary_bytes);
	expect(0, 0, 200);
	/* Values that do not shrink, that are same-filled or short use no dictionary. */
	put_all(NOISE_KIND, 0, 20);
	memset(value, 7, unit_bytes);
	ck_assert_int_eq(zpool_store_put(store, 20, value, unit_bytes), 0);
	ck_assert_int_eq(zpool_store_put(store, 21, "a", 1), 0);
	ck_assert_uint_eq(stats().dictionary_units, 200 - 22);
	expect(NOISE_KIND, 0, 20);
	expect(0, 22, 178);
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UINT64_MAX), 0);
	ck_assert_uint_eq(stats().dictionary_units, 0);
	ck_assert_uint_eq(stats().stored_bytes, 0);
	zpool_store_close(store);
}
END_TEST

START_TEST(dictionary_of_the_program_works_with_backing_and_checksums)
{
	struct zpool_store_args args = args_for(_i ? "zsmalloc" : "zblock");
	struct image image;

	image_init(&image, 300 * unit_bytes, false);
	args.backing = &image.backing;
	args.flags = ZPOOL_STORE_CHECKSUM;
	give_text(&args, 0);
	store = zpool_store_open(&args, sizeof(args));
	if (!store && errno == EOPNOTSUPP) { /* There is no libxxhash. */
		args.flags = 0;
		open_store(&args);
	}
	for (uint64_t key = 0; key < 300; key++) {
		memset(value, 0, unit_bytes);
		make(value, 0, key);
		ck_assert_int_eq(zpool_store_put(store, key, value, unit_bytes), 0);
	}
	ck_assert_uint_eq(stats().dictionary_units, 300);
	ck_assert_int_eq(zpool_store_shrink(store, UINT64_MAX, NULL), -EAGAIN);
	ck_assert_uint_eq(stats().dictionary_units, 0);
	for (int round = 0; round < 2; round++)
		for (uint64_t key = 0; key < 300; key++) {
			memset(value, 0, unit_bytes);
			make(value, 0, key);
			ck_assert_int_eq(zpool_store_get(store, key, other, sizeof(other)), (int64_t)unit_bytes);
			ck_assert_mem_eq(other, value, unit_bytes);
			ck_assert_mem_eq(image.data + key * unit_bytes, value, unit_bytes);
		}
	ck_assert_uint_eq(stats().dictionary_units, 300);
	zpool_store_close(store);
	image_fini(&image);
}
END_TEST

START_TEST(trained_dictionary_saves_memory_on_documents)
{
	static const size_t units[] = { 512, 4096 };
	uint64_t count = _i ? DOCUMENTS * 3 / 4 : DOCUMENTS;
	struct zpool_store_args args;
	struct zpool_store_stats plain, trained;

	unit_bytes = units[_i];
	args = args_for("zsmalloc");
	open_store(&args);
	put_all(0, 0, count);
	plain = stats();
	ck_assert_uint_eq(plain.dictionaries, 0);
	zpool_store_close(store);

	args.train_units = count / 2;
	args.train_bytes = 16384;
	open_store(&args);
	put_all(0, 0, count);
	trained = stats();
	ck_assert_uint_eq(trained.dictionaries_trained, 1);
	ck_assert_uint_eq(trained.dictionaries, 1);
	ck_assert_uint_gt(trained.dictionary_units, count / 3);
	ck_assert_uint_lt(trained.dictionary_units, count * 2 / 3);
	ck_assert_uint_gt(trained.sample_bytes, trained.sample_before_bytes);
	ck_assert_uint_lt(trained.sample_after_bytes, trained.sample_before_bytes * 3 / 4);
	expect(0, 0, count);
	put_all(0, 0, count);
	expect(0, 0, count);
	trained = stats();
	ck_assert_uint_eq(trained.dictionary_units, count);
	ck_assert_uint_lt(trained.stored_bytes + trained.dictionary_bytes, plain.stored_bytes);
	ck_assert_uint_lt(trained.stored_bytes, plain.stored_bytes * 3 / 4);
	ck_assert_uint_eq(trained.dictionaries_trained, 1);
	zpool_store_close(store);
	unit_bytes = 512;
}
END_TEST

START_TEST(dictionary_that_saves_nothing_is_discarded)
{
	struct zpool_store_args args = args_for("zsmalloc");

	/* Noise has nothing that a dictionary could know. */
	args.train_units = 256;
	open_store(&args);
	put_all(NOISE_KIND, 0, 500);
	ck_assert_uint_eq(stats().dictionaries_rejected, 1);
	ck_assert_int_eq(zpool_store_train(store), 0);
	ck_assert_uint_eq(stats().dictionaries_rejected, 2);
	ck_assert_uint_eq(stats().sample_before_bytes, stats().sample_bytes);
	ck_assert_uint_eq(stats().sample_after_bytes, stats().sample_bytes);
	/* Documents gain, but so few of them do not save the memory of a dictionary. */
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UINT64_MAX), 0);
	put_all(0, 0, 100);
	ck_assert_int_eq(zpool_store_train(store), 0);
	ck_assert_uint_lt(stats().sample_after_bytes, stats().sample_before_bytes * 3 / 4);
	ck_assert_uint_eq(stats().dictionaries_trained, 0);
	ck_assert_uint_eq(stats().dictionaries, 0);
	ck_assert_uint_eq(stats().dictionary_bytes, 0);
	ck_assert_int_eq(zpool_store_get_dictionary(store, NULL, 0), -ENOENT);
	expect(0, 0, 100);
	zpool_store_close(store);
}
END_TEST

START_TEST(old_dictionaries_are_kept_while_values_need_them)
{
	struct zpool_store_args args = args_for("zsmalloc");
	unsigned int kind;

	args.train_bytes = 16384;
	open_store(&args);
	/* Each time, the values of another kind are many, and 10 of each earlier kind stay. */
	for (kind = 0; kind < 8; kind++) {
		put_all(kind, 10 * kind, DOCUMENTS / 2);
		ck_assert_msg(zpool_store_train(store) == 1, "kind %u: %s", kind, zpool_last_error());
		put_all(kind, 10 * kind, 10);
		ck_assert_uint_eq(stats().dictionaries, kind + 1);
		ck_assert_int_eq(zpool_store_drop_range(store, 10 * (kind + 1), UINT64_MAX - 100), 0);
	}
	ck_assert_uint_eq(stats().dictionaries_trained, 8);
	ck_assert_uint_eq(stats().dictionary_units, 80);
	put_all(kind, 10 * kind, 100);
	ck_assert_int_eq(zpool_store_train(store), -ENOSPC);
	for (kind = 0; kind < 8; kind++)
		expect(kind, 10 * kind, 10);
	/* When the values of two kinds are gone, so are their dictionaries. */
	ck_assert_int_eq(zpool_store_drop_range(store, 20, 10), 0);
	put_all(7, 50, 10);
	ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	ck_assert_uint_eq(stats().dictionaries, 6);
	expect(7, 50, 10);
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UINT64_MAX), 0);
	ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	ck_assert_uint_eq(stats().dictionaries, 1); /* This is the one in use. */
	zpool_store_close(store);
}
END_TEST

START_TEST(dictionary_can_be_saved_and_given_again)
{
	struct zpool_store_args args = args_for("zsmalloc");
	unsigned char *content;
	uint64_t stored;
	int64_t bytes;

	args.train_bytes = 16384;
	open_store(&args);
	put_all(0, 0, DOCUMENTS);
	ck_assert_int_eq(zpool_store_train(store), 1);
	put_all(0, 0, DOCUMENTS);
	stored = stats().stored_bytes;
	bytes = zpool_store_get_dictionary(store, NULL, 0);
	ck_assert_int_gt(bytes, 256);
	ck_assert_int_le(bytes, 16384);
	content = malloc((size_t)bytes);
	ck_assert_int_eq(zpool_store_get_dictionary(store, content, (size_t)bytes - 1), -ENOBUFS);
	ck_assert_int_eq(zpool_store_get_dictionary(store, content, (size_t)bytes), bytes);
	zpool_store_close(store);

	args.train_bytes = 0;
	args.dictionary = content;
	args.dictionary_bytes = (uint64_t)bytes;
	open_store(&args);
	put_all(0, 0, DOCUMENTS);
	ck_assert_uint_eq(stats().stored_bytes, stored);
	expect(0, 0, DOCUMENTS);
	ck_assert_int_eq(zpool_store_train(store), -EOPNOTSUPP);
	zpool_store_close(store);

	/* The tables behind the magic number are damaged. */
	memset(content + 8, 0xff, 64);
	ck_assert_ptr_null(zpool_store_open(&args, sizeof(args)));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "damaged"));
	/* Without the magic number, any bytes are a dictionary. */
	content[0] ^= 1;
	open_store(&args);
	zpool_store_close(store);
	free(content);
}
END_TEST

START_TEST(recompression_uses_the_dictionary)
{
	struct zpool_store_args args = args_for("zsmalloc");
	uint64_t first, second;

	args.compressor = "lz4";
	args.recompressor = "zstd:3";
	args.train_bytes = 1024;
	open_store(&args);
	put_all(0, 0, 2 * DOCUMENTS);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	first = stats().stored_bytes;
	ck_assert_uint_eq(stats().dictionary_units, 0);
	ck_assert_msg(zpool_store_train(store) == 1, "%s", zpool_last_error());
	/* With the flag, what was recompressed without the dictionary is recompressed with it. */
	ck_assert_int_eq(zpool_store_recompress(store, 0, 0), 0);
	ck_assert_uint_eq(stats().stored_bytes, first);
	ck_assert_int_eq(zpool_store_recompress(store, ZPOOL_STORE_RECOMPRESS_ALL, 0), 0);
	second = stats().stored_bytes;
	ck_assert_uint_lt(second, first * 3 / 4);
	ck_assert_uint_gt(stats().dictionary_units, 2 * DOCUMENTS - 100);
	expect(0, 0, 2 * DOCUMENTS);
	zpool_store_close(store);
}
END_TEST

static void expect_refused(const struct zpool_store_args *args, const char *word)
{
	ck_assert_ptr_null(zpool_store_open(args, sizeof(*args)));
	ck_assert_int_eq(errno, EINVAL);
	ck_assert_msg(strstr(zpool_last_error(), word), "%s", zpool_last_error());
}

START_TEST(bad_arguments_are_refused)
{
	struct zpool_store_args args = args_for("libc"), wrong;

	args.dictionary = "some text that is long enough";
	args.dictionary_bytes = 20;
	wrong = args;
	wrong.dictionary_bytes = 0;
	expect_refused(&wrong, "empty");
	wrong.dictionary_bytes = 7;
	expect_refused(&wrong, "8");
	wrong.dictionary_bytes = ZPOOL_STORE_DICTIONARY_BYTES_MAX + 1;
	expect_refused(&wrong, "1048576");
	wrong = args;
	wrong.dictionary = NULL;
	expect_refused(&wrong, "dictionary_bytes");
	wrong = args;
	wrong.compressor = "lz4";
	expect_refused(&wrong, "zstd");
	wrong.compressor = "none";
	wrong.recompressor = "lz4hc";
	expect_refused(&wrong, "zstd");
	wrong = args_for("libc");
	wrong.train_bytes = 255;
	expect_refused(&wrong, "train_bytes");
	wrong.train_bytes = ZPOOL_STORE_DICTIONARY_BYTES_MAX + 1;
	expect_refused(&wrong, "train_bytes");
	wrong = args_for("libc");
	wrong.compressor = NULL;
	wrong.train_units = 1000;
	expect_refused(&wrong, "lz4");
	ck_assert_int_eq(zpool_store_train(NULL), -EINVAL);
	ck_assert_int_eq(zpool_store_get_dictionary(NULL, NULL, 0), -EINVAL);

	args.train_bytes = 256;
	open_store(&args);
	ck_assert_int_eq(zpool_store_train(store), -ENODATA);
	put_all(0, 0, 15);
	ck_assert_int_eq(zpool_store_train(store), -ENODATA);
	for (uint64_t key = 0; key < 40; key++)
		ck_assert_int_eq(zpool_store_put(store, key, "ab", 2), 0);
	ck_assert_int_le(zpool_store_train(store), 0);
	ck_assert_uint_eq(stats().dictionaries, 1);
	zpool_store_close(store);
}
END_TEST

START_TEST(limit_covers_the_dictionary_and_its_training)
{
	struct zpool_store_args args = args_for("zsmalloc");
	uint64_t limit = 4 << 20;

	args.limit_bytes = limit;
	args.train_units = DOCUMENTS / 2;
	args.train_bytes = 16384;
	open_store(&args);
	put_all(0, 0, DOCUMENTS);
	ck_assert_uint_eq(stats().dictionaries, 0);
	ck_assert_int_eq(zpool_store_train(store), -ENOMEM);
	ck_assert_ptr_nonnull(strstr(zpool_last_error(), "limit"));
	ck_assert_int_eq(zpool_store_set_limit(store, 5 * limit), 0);
	ck_assert_int_eq(zpool_store_train(store), 1);
	ck_assert_int_eq(zpool_store_set_limit(store, limit), 0);
	put_all(0, 0, DOCUMENTS);
	ck_assert_uint_lt(zpool_store_get_total_size(store), limit);
	expect(0, 0, DOCUMENTS);
	zpool_store_close(store);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * Threads
 */

#define WORKERS 3
#define WORKER_KEYS 1200

struct worker {
	pthread_t thread;
	unsigned int number;
	const char *fault;
};

static _Atomic bool is_over;

/* Each worker has its own keys, and its own two kinds of documents, so that no dictionary is the best for long. */
static void *put_and_get(void *context)
{
	struct worker *worker = context;
	unsigned char data[512], back[512];

	for (unsigned int round = 0; !worker->fault && (round < 2 || !atomic_load(&is_over)); round++)
		for (uint64_t i = 0; i < WORKER_KEYS; i++) {
			uint64_t key = worker->number * WORKER_KEYS + i;
			unsigned int kind = worker->number + round / 2 % 2 * WORKERS;
			size_t bytes = document_make(data, sizeof(data), kind, key);

			if (zpool_store_put(store, key, data, bytes))
				worker->fault = "a put failed";
			if (zpool_store_get(store, key, back, sizeof(back)) != (int64_t)bytes ||
			    memcmp(back, data, bytes) != 0)
				worker->fault = "a get returned something else";
		}
	return NULL;
}

START_TEST(threads_put_and_get_while_dictionaries_change)
{
	struct worker worker[WORKERS] = { { .number = 0 }, { .number = 1 }, { .number = 2 } };
	struct zpool_store_args args = args_for("zsmalloc");
	int result;

	args.train_units = 1000;
	args.train_bytes = 2048;
	atomic_store(&is_over, false);
	open_store(&args);
	for (int i = 0; i < WORKERS; i++)
		ck_assert_int_eq(pthread_create(&worker[i].thread, NULL, put_and_get, &worker[i]), 0);
	for (int i = 0; i < 6; i++) {
		result = zpool_store_train(store);
		ck_assert_msg(result >= 0 || result == -EBUSY || result == -ENODATA || result == -ENOSPC, "%s",
			      zpool_last_error());
		ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < WORKERS; i++) {
		pthread_join(worker[i].thread, NULL);
		ck_assert_msg(!worker[i].fault, "worker %d: %s", i, worker[i].fault);
	}
	ck_assert_uint_ge(stats().dictionaries_trained + stats().dictionaries_rejected, 1);
	ck_assert_uint_le(stats().dictionary_units, WORKERS * WORKER_KEYS);
	ck_assert_int_eq(zpool_store_drop_range(store, 0, UINT64_MAX), 0);
	ck_assert_uint_eq(stats().dictionary_units, 0);
	zpool_store_close(store);
}
END_TEST

/* ------------------------------------------------------------------------------------------------------------------
 * A put that takes long
 */

static struct image slow;
static int64_t (*pwrite_of_image)(void *, const void *, size_t, uint64_t);
static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static _Atomic bool is_writing;

static int64_t wait_and_pwrite(void *user, const void *buf, size_t bytes, uint64_t offset)
{
	atomic_store(&is_writing, true);
	pthread_mutex_lock(&gate);
	pthread_mutex_unlock(&gate);
	return pwrite_of_image(user, buf, bytes, offset);
}

static void put_padded(uint64_t key)
{
	memset(value, 0, unit_bytes);
	make(value, 0, key);
	ck_assert_int_eq(zpool_store_put(store, key, value, unit_bytes), 0);
}

static _Atomic uint64_t slow_key;

/* Puts values until the limit is reached, and the put of one has to wait for the backing. */
static void *put_until_one_waits(void *result)
{
	int err = 0;

	for (uint64_t key = 200; !err && !atomic_load(&is_writing); key++) {
		unsigned char data[512] = "";

		document_make(data, sizeof(data), 0, key);
		atomic_store(&slow_key, key);
		err = zpool_store_put(store, key, data, sizeof(data));
	}
	*(int *)result = err;
	return NULL;
}

/* A put has compressed its value, and waits for the backing before it stores the object. */
START_TEST(dictionary_of_an_unfinished_put_is_kept)
{
	struct zpool_store_args args = args_for("zsmalloc");
	pthread_t thread;
	uint64_t during;
	int result = -1;

	image_init(&slow, 4096 * unit_bytes, true);
	pwrite_of_image = slow.backing.pwrite;
	slow.backing.pwrite = wait_and_pwrite;
	args.backing = &slow.backing;
	args.train_bytes = 4096;
	give_text(&args, 1);
	open_store(&args);
	memset(value, 7, unit_bytes);
	for (uint64_t key = 0; key < 16; key++)
		ck_assert_int_eq(zpool_store_put(store, key, value, unit_bytes), 0);
	pthread_mutex_lock(&gate);
	ck_assert_int_eq(zpool_store_set_limit(store, zpool_store_get_total_size(store)), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, put_until_one_waits, &result), 0);
	while (!atomic_load(&is_writing))
		sched_yield();
	ck_assert_int_eq(zpool_store_set_limit(store, 0), 0);
	for (uint64_t key = 512; key < 3000; key++)
		put_padded(key);
	ck_assert_msg(zpool_store_train(store) == 1, "%s", zpool_last_error());
	for (uint64_t key = 200; key < 3000; key++)
		if (key != atomic_load(&slow_key))
			put_padded(key);
	ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	during = stats().dictionaries;
	pthread_mutex_unlock(&gate);
	pthread_join(thread, NULL);
	ck_assert_int_eq(result, 0);
	ck_assert_uint_eq(during, 2);
	ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	ck_assert_uint_eq(stats().dictionaries, 2);
	memset(value, 0, unit_bytes);
	make(value, 0, slow_key);
	ck_assert_int_eq(zpool_store_get(store, slow_key, other, sizeof(other)), (int64_t)unit_bytes);
	ck_assert_mem_eq(other, value, unit_bytes);
	put_padded(slow_key);
	ck_assert_int_ge(zpool_store_compact(store, 0, 0), 0);
	ck_assert_uint_eq(stats().dictionaries, 1);
	zpool_store_close(store);
	image_fini(&slow);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("dictionary");
	TCase *tcase = tcase_create("dictionary");

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, dictionary_of_the_program_is_used_on_every_driver, 0, SPECS);
	tcase_add_loop_test(tcase, dictionary_of_the_program_works_with_backing_and_checksums, 0, 2);
	tcase_add_loop_test(tcase, trained_dictionary_saves_memory_on_documents, 0, 2);
	tcase_add_test(tcase, dictionary_that_saves_nothing_is_discarded);
	tcase_add_test(tcase, old_dictionaries_are_kept_while_values_need_them);
	tcase_add_test(tcase, dictionary_can_be_saved_and_given_again);
	tcase_add_test(tcase, recompression_uses_the_dictionary);
	tcase_add_test(tcase, bad_arguments_are_refused);
	tcase_add_test(tcase, limit_covers_the_dictionary_and_its_training);
	tcase_add_test(tcase, threads_put_and_get_while_dictionaries_change);
	tcase_add_test(tcase, dictionary_of_an_unfinished_put_is_kept);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
