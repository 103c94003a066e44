/* SPDX-License-Identifier: MIT
 *
 * magazine_shared.c - thread caches that many threads use at once, and in the child of a fork
 */
#include <config.h>

#include "magazine_fixture.h"

#include <sched.h>
#include <sys/wait.h>

/* Threads use their magazines while another thread moves items between caches; no item is lost or duplicated. */
static _Atomic(bool) is_over;
static _Atomic(unsigned int) has_begun;

static void *shuffle_own(void *seed)
{
	struct unit_random random = { (uintptr_t)seed };
	uint32_t taken[ITEMS];
	unsigned int count = 0;
	struct zp_cache *cache = adopt();

	unit_require(cache != NULL);
	for (unsigned int i = 0; i < ITEMS; i++)
		push(cache, i % CLASSES, (uint32_t)(uintptr_t)seed * ITEMS + i);
	atomic_fetch_add(&has_begun, 1);
	while (!atomic_load(&is_over)) {
		struct zp_magazine *magazine = &cache->magazines[unit_below(&random, CLASSES)];

		if (!zp_caches_enter(&caches))
			continue;
		if (count < ITEMS && unit_below(&random, 2)) {
			uint32_t item = zp_magazine_pop(magazine);

			if (item != ZP_ITEM_NONE)
				taken[count++] = item;
		} else if (count && zp_magazine_push(magazine, taken[count - 1])) {
			count--;
		}
		zp_cache_leave(cache);
	}
	for (unsigned int class = 0; count; class = (class + 1) % CLASSES)
		while (count && zp_magazine_push(&cache->magazines[class], taken[count - 1]))
			count--;
	return NULL;
}

static void move_items(struct unit_random *random)
{
	uint32_t items[ITEMS];

	for (struct zp_cache *from = caches.first; from && from->next; from = from->next) {
		unsigned int class = unit_below(random, CLASSES);
		unsigned int room = ZP_MAGAZINE_ITEMS - zp_magazine_count(&from->next->magazines[class]);
		unsigned int count =
			zp_magazine_take(&from->magazines[class], items, room < ITEMS ? room : (unsigned int)ITEMS);

		while (count)
			push(from->next, class, items[--count]);
	}
}

START_TEST(owners_and_a_thread_that_stops_them_lose_no_item)
{
	struct unit_random random = unit_seed("owners_and_a_thread_that_stops_them_lose_no_item");
	unsigned int seen[(THREADS + 1) * ITEMS] = { 0 };
	pthread_t threads[THREADS];
	uint32_t items[ZP_MAGAZINE_ITEMS];

	for (uintptr_t i = 0; i < THREADS; i++)
		unit_require(pthread_create(&threads[i], NULL, shuffle_own, (void *)(i + 1)) == 0);
	while (atomic_load(&has_begun) < THREADS)
		sched_yield();
	for (int i = 0; i < 2000; i++) {
		zp_caches_stop(&caches);
		move_items(&random);
		zp_caches_resume(&caches);
		if (i % 50 == 0)
			sched_yield();
	}
	atomic_store(&is_over, true);
	for (int i = 0; i < THREADS; i++)
		unit_require(pthread_join(threads[i], NULL) == 0);
	for (struct zp_cache *cache = caches.first; cache; cache = cache->next)
		for (unsigned int class = 0; class < CLASSES; class ++) {
			unsigned int count = zp_magazine_take(&cache->magazines[class], items, ZP_MAGAZINE_ITEMS);

			while (count)
				seen[items[--count]]++;
		}
	for (unsigned int item = ITEMS; item < (THREADS + 1) * ITEMS; item++)
		unit_require(seen[item] == 1);
}
END_TEST

/* ---- fork ---- */

/* In the child, the only thread owns its cache, the other caches have no owner, and no owner is kept out. */
static int check_child(struct zp_cache *own, struct zp_cache *others)
{
	/* At the moment of the fork, the other owner had announced itself, and not yet seen that it is kept out. */
	atomic_store(&others->biased.busy, true);
	zp_caches_fork(&caches, ZPOOL_FORK_CHILD);
	if (atomic_load(&others->biased.busy))
		return 6;
	if (caches.keepers || zp_caches_own(&caches) != own || !may_enter())
		return 1;
	if (atomic_load(&others->seat->owner) != ZP_CACHE_NOBODY || zp_magazine_count(&others->magazines[1]) != 2)
		return 2;
	if (barriers_of_a_stop() || !may_enter())
		return 3;
	if (drain(others) != 4)
		return 4;
	zp_caches_trim(&caches);
	return cache_count() == 1 ? 0 : 5;
}

/* Another thread keeps the owners out during the fork (1), or does not (0). */
START_TEST(child_of_fork_has_only_its_own_owner)
{
	struct other other = { 0 }, keeper = { 0 };
	struct zp_cache *own;
	int status;

	if (!unit_may_fork())
		return;
	own = adopt();
	begin(&other, adopt_and_push);
	if (_i)
		begin(&keeper, hold_for_ever);
	zp_caches_fork(&caches, ZPOOL_FORK_PREPARE);
	pid_t child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0)
		_exit(check_child(own, other.cache));
	zp_caches_fork(&caches, ZPOOL_FORK_PARENT);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(may_enter(), !_i);
	ck_assert_uint_eq(zp_magazine_count(&other.cache->magazines[1]), 2);
	if (_i) {
		end(&keeper);
		zp_caches_release(&caches);
		ck_assert(may_enter());
	}
	end(&other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("support/magazine, shared");
	TCase *tcase = tcase_create("caches");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, owners_and_a_thread_that_stops_them_lose_no_item);
	tcase_add_loop_test(tcase, child_of_fork_has_only_its_own_owner, 0, 2);
	suite_add_tcase(suite, tcase);
	return suite_run(suite);
}
