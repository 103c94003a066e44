/* SPDX-License-Identifier: MIT */
#include "config.h"

#include "base/patience.h"

#include "tests/unit/run.h"

static int64_t ns_of(struct timespec time)
{
	return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

/* The deadline may lie within the second, at whole seconds, or carry over into the next second. */
START_TEST(deadline_is_the_patience_from_now)
{
	const unsigned int patiences_ms[] = { 0, 1, 1000, 1500, 1999, 60 * 1000 };

	for (size_t i = 0; i < sizeof(patiences_ms) / sizeof(patiences_ms[0]); i++) {
		int64_t patience_ns = (int64_t)patiences_ms[i] * 1000000;
		struct timespec before, after;

		zp_set_patience(patiences_ms[i]);
		ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &before), 0);
		struct timespec deadline = zp_patience_deadline();
		ck_assert_int_eq(clock_gettime(CLOCK_REALTIME, &after), 0);
		ck_assert(deadline.tv_nsec >= 0 && deadline.tv_nsec < 1000000000);
		ck_assert_int_ge(ns_of(deadline), ns_of(before) + patience_ns);
		ck_assert_int_le(ns_of(deadline), ns_of(after) + patience_ns);
	}
}
END_TEST

START_TEST(messages_round_the_patience_up_to_seconds)
{
	zp_set_patience(1);
	ck_assert_uint_eq(zp_patience_s(), 1);
	zp_set_patience(1000);
	ck_assert_uint_eq(zp_patience_s(), 1);
	zp_set_patience(1001);
	ck_assert_uint_eq(zp_patience_s(), 2);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		deadline_is_the_patience_from_now,
		messages_round_the_patience_up_to_seconds,
	};

	return UNIT_RUN("base/patience", tests);
}
