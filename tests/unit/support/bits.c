/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "bits.h"

#include "unit.h"

/* Holds the same set with one byte for each bit, for comparison. */
struct plain {
	bool bit[ZP_BITS];
};

static void both_random(struct unit_random *random, struct zp_bits *bits, struct plain *plain)
{
	unsigned int density = 1 + unit_below(random, 64), run = 1 + unit_below(random, 200);

	memset(bits, 0, sizeof(*bits));
	memset(plain, 0, sizeof(*plain));
	for (unsigned int i = 0; i < ZP_BITS;) {
		unsigned int count = 1 + unit_below(random, run);

		if (count > ZP_BITS - i)
			count = ZP_BITS - i;
		if (unit_below(random, 64) < density) {
			zp_bits_set(bits, i, count);
			memset(&plain->bit[i], 1, count);
		}
		i += count;
	}
}

static void check_same(const struct zp_bits *bits, const struct plain *plain)
{
	for (unsigned int i = 0; i < ZP_BITS; i++)
		unit_require((int)(bits->word[i / 64] >> (i % 64) & 1) == plain->bit[i]);
}

static unsigned int plain_next(const struct plain *plain, unsigned int from, bool value)
{
	while (from < ZP_BITS && plain->bit[from] != value)
		from++;
	return from < ZP_BITS ? from : ZP_BITS;
}

static bool plain_run(const struct plain *plain, unsigned int first, unsigned int count)
{
	if (first + count > ZP_BITS)
		return false;
	for (unsigned int i = 0; i < count; i++)
		if (!plain->bit[first + i])
			return false;
	return true;
}

START_TEST(ranges_agree_with_single_bits)
{
	struct unit_random random = unit_seed("ranges_agree_with_single_bits");
	struct zp_bits bits;
	struct plain plain;

	both_random(&random, &bits, &plain);
	for (int round = 0; round < 2000; round++) {
		unsigned int first = unit_below(&random, ZP_BITS), count = unit_below(&random, ZP_BITS - first + 1);
		unsigned int expected = 0, before = first;

		if (round % 3 == 0) {
			zp_bits_set(&bits, first, count);
			memset(&plain.bit[first], 1, count);
		} else if (round % 3 == 1) {
			zp_bits_clear(&bits, first, count);
			memset(&plain.bit[first], 0, count);
		}
		for (unsigned int i = 0; i < count; i++)
			expected += plain.bit[first + i];
		unit_require(zp_bits_count(&bits, first, count) == expected);
		unit_require(zp_bits_next_set(&bits, first) == plain_next(&plain, first, true));
		unit_require(zp_bits_next_clear(&bits, first) == plain_next(&plain, first, false));
		while (before > 0 && !plain.bit[before - 1])
			before--;
		unit_require(zp_bits_after_prev_set(&bits, first) == before);
	}
	check_same(&bits, &plain);
}
END_TEST

START_TEST(bits_at_word_boundaries_and_at_the_end_are_handled)
{
	struct zp_bits bits = { { 0 } };

	ck_assert_uint_eq(zp_bits_next_set(&bits, 0), ZP_BITS);
	ck_assert_uint_eq(zp_bits_next_set(&bits, ZP_BITS), ZP_BITS);
	ck_assert_uint_eq(zp_bits_after_prev_set(&bits, ZP_BITS), 0);
	ck_assert_uint_eq(zp_bits_longest_run(&bits), 0);
	zp_bits_set(&bits, 0, ZP_BITS);
	ck_assert_uint_eq(zp_bits_count(&bits, 0, ZP_BITS), ZP_BITS);
	ck_assert_uint_eq(zp_bits_next_clear(&bits, 0), ZP_BITS);
	ck_assert_uint_eq(zp_bits_after_prev_set(&bits, ZP_BITS), ZP_BITS);
	ck_assert_uint_eq(zp_bits_longest_run(&bits), ZP_BITS);
	zp_bits_clear(&bits, 63, 2);
	ck_assert_uint_eq(zp_bits_next_clear(&bits, 0), 63);
	ck_assert_uint_eq(zp_bits_next_set(&bits, 63), 65);
	ck_assert_uint_eq(zp_bits_longest_run(&bits), ZP_BITS - 65);
	zp_bits_clear(&bits, 0, 0);
	ck_assert_uint_eq(zp_bits_count(&bits, 0, ZP_BITS), ZP_BITS - 2);
}
END_TEST

START_TEST(starts_and_longest_run_agree_with_a_walk)
{
	struct unit_random random = unit_seed("starts_and_longest_run_agree_with_a_walk");

	for (int round = 0; round < 300; round++) {
		unsigned int count = 1 + unit_below(&random, round % 2 ? 40 : ZP_BITS), longest = 0, first = 0, run;
		struct zp_bits bits, starts;
		struct plain plain;

		both_random(&random, &bits, &plain);
		starts = bits;
		zp_bits_starts(&starts, count);
		for (unsigned int i = 0; i < ZP_BITS; i++)
			unit_require((int)(starts.word[i / 64] >> (i % 64) & 1) == plain_run(&plain, i, count));
		for (; zp_bits_next_run(&bits, &first, &run); first += run) {
			unit_require(plain_run(&plain, first, run));
			unit_require(!plain_run(&plain, first, run + 1));
			longest = run > longest ? run : longest;
		}
		unit_require(zp_bits_longest_run(&bits) == longest);
	}
}
END_TEST

START_TEST(shift_moves_every_bit)
{
	struct unit_random random = unit_seed("shift_moves_every_bit");

	for (unsigned int by = 0; by < ZP_BITS; by += 1 + unit_below(&random, 9)) {
		struct zp_bits bits;
		struct plain plain, moved = { { false } };

		both_random(&random, &bits, &plain);
		memcpy(moved.bit, &plain.bit[by], ZP_BITS - by);
		zp_bits_shift_down(&bits, by);
		check_same(&bits, &moved);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/bits");
	TCase *bits = tcase_create("bits");

	tcase_set_timeout(bits, 120);
	tcase_add_test(bits, ranges_agree_with_single_bits);
	tcase_add_test(bits, bits_at_word_boundaries_and_at_the_end_are_handled);
	tcase_add_test(bits, starts_and_longest_run_agree_with_a_walk);
	tcase_add_test(bits, shift_moves_every_bit);
	suite_add_tcase(suite, bits);
	return suite_run(suite);
}
