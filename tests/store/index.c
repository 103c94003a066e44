/* SPDX-License-Identifier: MIT
 *
 * index.c - the order in which the store's index publishes a leaf
 *
 * The test compiles the index with a function that is called before each of its atomic stores, and so sees the states
 * that another thread could see.
 */
#include "config.h"

#include "tests/suite.h"

#include <stdatomic.h>
#include <stdlib.h>

static void before_store(const volatile void *object);

/* An exchange is a store as well. */
#undef atomic_store_explicit
#define atomic_store_explicit(object, value, order)                                                                    \
	(before_store(object), (void)atomic_exchange_explicit(object, value, order))

#include "store/index.c"

static struct zps_index index_;
static struct zps_contexts contexts;
static uint64_t added_key;
static unsigned int counted;

void zps_contexts_wait(struct zps_contexts *unused)
{
	(void)unused;
}

void zps_pause(unsigned int *turn)
{
	++*turn;
}

static void before_store(const volatile void *object)
{
	if (object != &index_.leaf_count)
		return;
	counted++;
	ck_assert_ptr_null(zps_index_find(&index_, added_key));
}

/* A walk over the leaves must not miss one in which another thread could put a value already. */
START_TEST(leaf_is_counted_before_it_can_be_found)
{
	ck_assert_int_eq(zps_index_init(&index_, &contexts), 0);
	for (added_key = 0; added_key < 1000 * ZPS_LEAF_UNITS; added_key += ZPS_LEAF_UNITS) {
		ck_assert(zps_index_add(&index_, added_key));
		ck_assert_ptr_nonnull(zps_index_find(&index_, added_key));
	}
	ck_assert_uint_ge(counted, 64);
	zps_index_fini(&index_);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("index");
	TCase *tcase = tcase_create("index");

	tcase_add_test(tcase, leaf_is_counted_before_it_can_be_found);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
