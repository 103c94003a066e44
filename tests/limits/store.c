/* SPDX-License-Identifier: MIT
 *
 * A store under a limit of data: what needs much memory for a moment fails with an error, and loses nothing.
 */
#include "config.h"

#include "tests/limits/limits.h"
#include "zpool-store.h"

enum { UNIT = 512, VALUES = 3000, SPARE_STEP = 1 << 18, SPARE_STEPS = 40, DICTIONARY_BYTES = 16384 };

static struct zpool_store *store;
static uint64_t spare_bytes;

/* Writes a value that has much in common with the others and little within itself. */
static void make_value(char *value, unsigned int number)
{
	static const char *const words[] = { "temperature", "humidity", "cellar", "kitchen", "workshop", "measured" };
	size_t used = 0;

	memset(value, 0, UNIT);
	for (uint32_t state = number * 2654435761U + 1; used < UNIT - 40; state = state * 1664525 + 1013904223)
		used += (size_t)snprintf(value + used, UNIT - used, "{\"%s\":%u},", words[(state >> 24) % 6],
					 state >> 8 & 0xfff);
}

static struct zpool_store *open_store(const void *dictionary)
{
	struct zpool_store_args args = ZPOOL_STORE_ARGS_INIT;

	args.pool = "zsmalloc";
	args.compressor = "zstd:1";
	args.unit_bytes = UNIT;
	args.train_bytes = DICTIONARY_BYTES;
	args.dictionary = dictionary;
	args.dictionary_bytes = dictionary ? DICTIONARY_BYTES : 0;
	return zpool_store_open(&args, sizeof(args));
}

static void check_values(void)
{
	char value[UNIT], found[UNIT];

	for (unsigned int i = 0; i < VALUES; i++) {
		make_value(value, i);
		LIMITS_CHECK(zpool_store_get(store, i, found, sizeof(found)) == UNIT, "%s", zpool_last_error());
		LIMITS_CHECK(memcmp(value, found, UNIT) == 0, "value %u differs", i);
	}
}

static int train(void)
{
	limits_set(RLIMIT_DATA, limits_status_bytes("VmData") + spare_bytes);
	int result = zpool_store_train(store);
	LIMITS_CHECK(result == 1 || (result == -ENOMEM && strstr(zpool_last_error(), "memory")), "%d: %s", result,
		     zpool_last_error());
	check_values();
	return 0;
}

static int open_with_a_dictionary(void)
{
	char dictionary[DICTIONARY_BYTES];

	for (unsigned int i = 0; i < DICTIONARY_BYTES / UNIT; i++)
		make_value(dictionary + (size_t)i * UNIT, i);
	limits_set(RLIMIT_DATA, limits_status_bytes("VmData") + spare_bytes);
	struct zpool_store *second = open_store(dictionary);
	LIMITS_CHECK(second || (errno == ENOMEM && strstr(zpool_last_error(), "memory")), "%d: %s", errno,
		     zpool_last_error());
	zpool_store_close(second);
	check_values();
	return 0;
}

static void run_with_more_and_more(int (*work)(void))
{
	char value[UNIT];

	if (!limits_may_run())
		return;
	limits_driver = "zsmalloc";
	store = open_store(NULL);
	ck_assert_msg(store != NULL, "%s", zpool_last_error());
	for (unsigned int i = 0; i < VALUES; i++) {
		make_value(value, i);
		ck_assert_int_eq(zpool_store_put(store, i, value, UNIT), 0);
	}
	for (unsigned int step = 0; step < SPARE_STEPS; step++) {
		spare_bytes = (uint64_t)step * SPARE_STEP;
		int status = unit_in_child(work);
		ck_assert_msg(status == 0 || status == CHILD_SKIPPED, "%llu bytes to spare: the child ended with %d",
			      (unsigned long long)spare_bytes, status);
	}
	zpool_store_close(store);
}

START_TEST(training_without_memory_is_an_error)
{
	run_with_more_and_more(train);
}
END_TEST

START_TEST(opening_with_a_dictionary_without_memory_is_an_error)
{
	run_with_more_and_more(open_with_a_dictionary);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		training_without_memory_is_an_error,
		opening_with_a_dictionary_without_memory_is_an_error,
	};

	return UNIT_RUN("limits/store", tests);
}
