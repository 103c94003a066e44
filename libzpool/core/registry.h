/* SPDX-License-Identifier: MIT
 *
 * registry.h - the drivers that this process knows, and who uses them
 *
 * A record's states:
 *
 *     absent --get--> loading --ok--> live --unload--> unloading --> absent
 *        ^               |             ^                   |
 *        +---- failed ---+             +--- stays mapped --+
 *
 * A failure that is the file's own fault stays with the record until the file changes; any other leaves no trace.
 * Registered drivers are live from the start and go by zpool_unregister_driver().
 */
#ifndef ZP_CORE_REGISTRY_H
#define ZP_CORE_REGISTRY_H 1

#include <stdbool.h>

#include "core/driver.h"
#include "loader/loader.h"

/* A driver in use.  `driver` and `type` are constant while a user holds the record. */
struct zp_record {
	struct zpool_driver driver;
	char type[ZP_TYPE_BYTES];

	/* The rest belongs to registry.c, under its lock. */
	struct zp_record *next;
	enum { ZP_ABSENT, ZP_LOADING, ZP_LIVE, ZP_UNLOADING } state;
	enum zpool_driver_origin origin;
	unsigned users;   /* parts of pools, and calls that look at the driver */
	unsigned waiters; /* threads that wait for a load or unload to end */
	unsigned loads;   /* attempts so far: a waiter sees whether one ended */
	const struct zpool_driver *registered;
	struct zp_loaded loaded;
	struct zp_load_failure failure;
};

/* The driver of this type, loaded if need be.  0 and *out, and zp_registry_put() is due; or -errno, error text set. */
int zp_registry_get(const char *type, struct zp_record **out);
void zp_registry_put(struct zp_record *record);

/*
 * Between these two the calling thread counts as a load under way, which fork() and zpool_loading_disable() wait for.
 * For zpool_each_driver(), in whose name the error text is: -EDEADLK, called from inside a load.
 */
int zp_registry_begin_load(void);
void zp_registry_end_load(void);

/* May files be opened, or was zpool_loading_disable() called?  Asked within a load, the answer holds until its end. */
bool zp_registry_files_allowed(void);

/* Visits every live record under the registry's lock: fn must call nothing that takes it. */
void zp_registry_each_live(void (*fn)(const struct zp_record *record, void *user), void *user);

/* Around fork(): waits for loads under way and keeps new ones from starting. */
void zp_registry_fork_prepare(void);
void zp_registry_fork_release(bool child);

#endif
