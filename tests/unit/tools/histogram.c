/* SPDX-License-Identifier: MIT */
#include "tools/bench/histogram.h"

#include <math.h>
#include <stdlib.h>

#include "tests/unit/run.h"

static const double shares[] = { 0, 0.000001, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1 };
enum { SHARES = sizeof(shares) / sizeof(shares[0]), VALUES_MAX = 200000 };

static struct histogram histogram;
static uint64_t values[VALUES_MAX];

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* The histogram returns every quantile of the values as sorting them does, or a value up to 1/128 larger. */
static void check_against_sort(size_t count)
{
	memset(&histogram, 0, sizeof(histogram));
	for (size_t i = 0; i < count; i++)
		histogram_record(&histogram, values[i]);
	qsort(values, count, sizeof(*values), compare);
	ck_assert_uint_eq(histogram.count, count);
	ck_assert_uint_eq(histogram.largest, values[count - 1]);
	for (size_t i = 0; i < SHARES; i++) {
		double rank = ceil(shares[i] * (double)count);
		uint64_t exact = values[rank < 1 ? 0 : (size_t)rank - 1];
		uint64_t found = histogram_quantile(&histogram, shares[i]);

		ck_assert_msg(found >= exact && found - exact <= exact / 128,
			      "%zu values, share %g: %llu, exactly %llu", count, shares[i], (unsigned long long)found,
			      (unsigned long long)exact);
	}
}

static uint64_t random_word(void)
{
	return (uint64_t)random() << 42 ^ (uint64_t)random() << 21 ^ (uint64_t)random();
}

START_TEST(empty_histogram_has_quantiles_of_zero)
{
	memset(&histogram, 0, sizeof(histogram));
	for (size_t i = 0; i < SHARES; i++)
		ck_assert_uint_eq(histogram_quantile(&histogram, shares[i]), 0);
}
END_TEST

START_TEST(small_values_are_reported_exactly)
{
	for (uint64_t value = 0; value < 256; value++)
		values[value] = value;
	check_against_sort(256);
	for (uint64_t value = 0; value < 256; value++)
		ck_assert_uint_eq(histogram_quantile(&histogram, ((double)value + 1) / 256), value);
}
END_TEST

START_TEST(single_value_is_every_quantile)
{
	for (unsigned int bit = 0; bit < 64; bit++)
		for (int off = -1; off <= 1; off++) {
			values[0] = (UINT64_C(1) << bit) + (uint64_t)off;
			check_against_sort(1);
			ck_assert_uint_eq(histogram_quantile(&histogram, 0.5), values[0]);
		}
	values[0] = UINT64_MAX;
	check_against_sort(1);
}
END_TEST

START_TEST(every_value_has_a_bucket_and_buckets_are_in_order)
{
	unsigned int before = 0;

	for (uint64_t value = 1; value; value = value > UINT64_MAX / 257 * 256 ? 0 : value + value / 256 + 1) {
		unsigned int bucket = histogram_bucket(value);

		ck_assert_uint_ge(bucket, before);
		ck_assert_uint_le(bucket, before + 1);
		before = bucket;
	}
	ck_assert_uint_lt(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS);
	ck_assert_uint_eq(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}
END_TEST

START_TEST(random_values_agree_with_a_sort)
{
	srandom(unit_seed());
	for (unsigned int round = 0; round < 60; round++) {
		size_t count = 1 + (size_t)random() % (round < 50 ? 3000 : VALUES_MAX);
		unsigned int bits = 1 + (unsigned int)random() % 64;

		for (size_t i = 0; i < count; i++)
			values[i] = random_word() >> (64 - bits) >> (round % 2 ? random() % bits : 0);
		check_against_sort(count);
	}
}
END_TEST

START_TEST(sum_of_histograms_has_the_values_of_both)
{
	static struct histogram other, both;

	srandom(unit_seed());
	memset(&histogram, 0, sizeof(histogram));
	memset(&other, 0, sizeof(other));
	memset(&both, 0, sizeof(both));
	for (unsigned int i = 0; i < 10000; i++) {
		uint64_t value = random_word() >> random() % 64;

		histogram_record(i % 3 ? &histogram : &other, value);
		histogram_record(&both, value);
	}
	histogram_add(&histogram, &other);
	ck_assert_int_eq(memcmp(&histogram, &both, sizeof(both)), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		empty_histogram_has_quantiles_of_zero, small_values_are_reported_exactly,
		single_value_is_every_quantile,        every_value_has_a_bucket_and_buckets_are_in_order,
		random_values_agree_with_a_sort,       sum_of_histograms_has_the_values_of_both,
	};
	return UNIT_RUN("histogram", tests);
}
