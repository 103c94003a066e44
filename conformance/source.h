/* SPDX-License-Identifier: MIT
 *
 * source.h - a page source that checks how a pool uses it, and can be made to fail
 */
#ifndef CT_SOURCE_H
#define CT_SOURCE_H 1

#include "case.h"

#include <pthread.h>
#include <stdatomic.h>

#define CT_SOURCE_PAGE 4096u
#define CT_SOURCE_RESERVATIONS_MAX 4096

/* committed has a byte for each page. */
struct ct_reservation {
	char *address;
	size_t bytes;
	unsigned char *committed;
};

/*
 * Give &source->table to the pool.  A call that violates the rules of struct zpool_page_source fails the case, and
 * touching memory that is not committed causes a fault.
 *
 * touch       write to each page when it is committed, so that it becomes resident
 * refuse_*    make these calls fail from now on
 * lock        guards the reservations
 */
struct ct_source {
	struct zpool_page_source table;
	bool touch;
	atomic_bool refuse_reserve;
	atomic_bool refuse_commit;
	atomic_bool refuse_decommit;
	atomic_uint reserves;
	atomic_uint commits;
	atomic_uint decommits;
	atomic_uint refused;
	pthread_mutex_t lock;
	struct ct_reservation reservations[CT_SOURCE_RESERVATIONS_MAX];
	size_t count;
};

void ct_source_init(struct ct_source *source);

/* Opens a pool that uses the source; skips the case if the driver takes no pages, not even for its records. */
struct zpool *ct_source_pool(struct ct_source *source);

/*
 * Returns true if the driver stores its objects in pages of the source.  Only such a driver knows its size to the page.
 */
bool ct_source_holds_objects(void);

bool ct_source_has(struct ct_source *source, const void *address, size_t bytes);
size_t ct_source_committed_bytes(struct ct_source *source);
size_t ct_source_reserved_bytes(struct ct_source *source);

#endif /* CT_SOURCE_H */
