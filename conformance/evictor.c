/* SPDX-License-Identifier: MIT
 *
 * evictor.c - a pool with an evict callback that checks and counts its calls
 */
#include "evictor.h"

#include <string.h>

static int evict(struct zpool *pool, unsigned long handle, void *user)
{
	struct ct_evictor *evictor = user;
	size_t position = ct_set_find(&evictor->set, handle);

	CT_CHECK(pool == evictor->pool, "the callback was called with another pool than the one being shrunk");
	CT_CHECK(position != SIZE_MAX, "the callback is asked to evict handle %#lx, which is not live", handle);
	evictor->asked++;
	return evictor->decide(evictor, position);
}

void ct_evictor_open(struct ct_evictor *evictor, int (*decide)(struct ct_evictor *evictor, size_t position),
		     size_t capacity)
{
	memset(evictor, 0, sizeof(*evictor));
	ct_set_init(&evictor->set, capacity);
	evictor->decide = decide;
	evictor->pool = ct_pool_evicting(evict, evictor);
}

void ct_evictor_close(struct ct_evictor *evictor)
{
	ct_set_check(evictor->pool, &evictor->set, "not evicted, at the end");
	ct_set_free_all(evictor->pool, &evictor->set);
	zpool_destroy_pool(evictor->pool);
	ct_set_fini(&evictor->set);
}

int ct_evict_save(struct ct_evictor *evictor, size_t position)
{
	const struct ct_object *object = &evictor->set.at[position];

	ct_object_check(evictor->pool, object, "inside the evict callback");
	if (evictor->order)
		evictor->order[evictor->evicted] = (size_t)(object->tag - evictor->first_tag);
	evictor->evicted++;
	ct_set_free(evictor->pool, &evictor->set, position);
	return 0;
}

int ct_evict_refuse(struct ct_evictor *evictor, size_t position)
{
	(void)evictor;
	(void)position;
	return -EBUSY;
}

int ct_evict_sometimes(struct ct_evictor *evictor, size_t position)
{
	if (ct_rng_below(&ct.rng, 3) == 0)
		return ct_rng_below(&ct.rng, 2) ? -EIO : 1;
	return ct_evict_save(evictor, position);
}
