/* SPDX-License-Identifier: MIT
 *
 * evict.c - an evict callback that obeys, refuses, recurses and lies
 */
#include <config.h>

#include <errno.h>

#include "races.h"

enum { DEPTH_MAX = 2 };

static int obey(struct place *place, struct object *object)
{
	object_check(place, object);
	object_free_claimed(place, object);
	tally(TALLY_EVICTED);
	return 0;
}

/* Uses the pool in every way that the library allows inside the callback. */
static int recurse(struct place *place, struct object *object)
{
	struct zpool_stats stats;

	(void)object_store(place);
	(void)object_verify(place);
	(void)object_free(place);
	(void)CALL(zpool_get_stats(place->pool, &stats, sizeof(stats)));
	switch (ct_rng_below(&self->rng, 4)) {
	case 0:
		(void)CALL(zpool_shrink(place->pool, 1, NULL));
		break;
	case 1:
		(void)CALL(zpool_compact(place->pool, 4096, 0, NULL));
		break;
	case 2:
		(void)CALL(zpool_trim(place->pool, NULL));
		break;
	default:
		(void)object_misuse(place);
	}
	return obey(place, object);
}

/* The caller has claimed the object. */
static int decide(struct place *place, struct object *object)
{
	uint64_t choice = ct_rng_below(&self->rng, 20);

	if (choice < 10)
		return obey(place, object);
	if (choice < 13 && self->evict_depth <= DEPTH_MAX)
		return recurse(place, object);
	if (choice < 15) /* Returns success although the object is still there. */
		return 0;
	if (choice < 16) { /* Returns a failure although the object is gone. */
		(void)obey(place, object);
		return -EIO;
	}
	if (choice < 17) /* Frees another object. */
		return object_free(place) ? 0 : 1;
	if (choice < 18)
		object_check(place, object);
	tally(TALLY_REFUSED);
	return -EBUSY;
}

int evict_callback(struct zpool *pool, unsigned long handle, void *user)
{
	struct place *place = user;
	struct object *object;
	const char *call = atomic_load_explicit(&self->call, memory_order_relaxed);
	int answer = -EBUSY;

	if (races.may_cancel)
		pthread_testcancel();
	races_check(place->pool == pool, "%s: evict was called with another pool", place->spec);
	races_check(handle != 0, "%s: evict was called with handle 0", place->spec);
	self->evict_depth++;
	object = object_claim_alone(place, handle);
	if (object) {
		answer = decide(place, object);
		object_release_alone(object);
	}
	self->evict_depth--;
	atomic_store_explicit(&self->call, call, memory_order_relaxed);
	return answer;
}
