/* SPDX-License-Identifier: MIT
 *
 * sizes.c - the distributions between which the sizes of objects shift
 */
#include <config.h>

#include "soak.h"

static size_t between(struct ct_rng *rng, size_t least, size_t most)
{
	return least + (size_t)ct_rng_below(rng, most - least + 1);
}

/* One object in 64 may have any size. */
size_t choose_size(enum sizes sizes, struct ct_rng *rng, size_t largest)
{
	size_t page = largest < 4096 ? largest : 4096;

	if (ct_rng_below(rng, 64) == 0)
		return between(rng, 16, largest);
	switch (sizes) {
	case SIZES_SMALL:
		return between(rng, 16, 512);
	case SIZES_PAGES:
		return ct_rng_below(rng, 5) ? between(rng, 300, 3000) : between(rng, 16, 300);
	default:
		return between(rng, 2000, page);
	}
}
