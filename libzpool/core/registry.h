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
 * If a load fails because of the file's content, the record keeps the failure until the file changes; other failures
 * are not kept. A registered driver is live at once, until zpool_unregister_driver() removes it.
 */
#ifndef ZP_CORE_REGISTRY_H
#define ZP_CORE_REGISTRY_H 1

#include <stdbool.h>

#include "core/driver.h"
#include "loader/loader.h"

/* A record of a driver. `driver` and `type` are constant while anyone holds a reference to it. */
struct zp_record {
	struct zpool_driver driver;
	char type[ZP_TYPE_BYTES];

	/* The remaining members belong to registry.c and are guarded by its lock. */
	struct zp_record *next;
	enum { ZP_ABSENT, ZP_LOADING, ZP_LIVE, ZP_UNLOADING } state;
	enum zpool_driver_origin origin;
	unsigned int users;   /* reference count: pools, and calls that inspect the driver */
	unsigned int waiters; /* threads that wait for a load or unload to end */
	unsigned int loads;   /* number of load attempts, by which a waiter notices that one ended */
	const struct zpool_driver *registered;
	struct zp_loaded loaded;
	struct zp_load_failure failure;
};

/*
 * Returns the driver of this type, loading it if necessary. 0 sets *out, and the caller must call zp_registry_put();
 * otherwise returns -errno with the error text set.
 */
int zp_registry_get(const char *type, struct zp_record **out);
void zp_registry_put(struct zp_record *record);

/*
 * Between these two calls the calling thread counts as loading, so fork() and zpool_loading_disable() wait for it. They
 * serve zpool_each_driver(), whose name the error text has. Returns -EDEADLK when called from inside a load.
 */
int zp_registry_begin_load(void);
void zp_registry_end_load(void);

/*
 * Returns true if files may be opened, and false after zpool_loading_disable(). Inside a load, the answer does not
 * change until the load ends.
 */
bool zp_registry_files_allowed(void);

/* Visits every live record. The registry's lock is held, so fn must not call anything that takes it. */
void zp_registry_each_live(void (*fn)(const struct zp_record *record, void *user), void *user);

/* For fork(): waits until running loads have ended, and keeps new ones from starting. */
void zp_registry_fork_prepare(void);
void zp_registry_fork_release(bool child);

#endif
