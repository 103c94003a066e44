/* SPDX-License-Identifier: MIT */
#include <config.h>

#include "core/registry.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/name.h"
#include "base/patience.h"
#include "support/cancel.h"

/*
 * The outermost lock of the library. It guards everything in this file and the second half of each record. It is never
 * held while a plugin's code may run or a file is opened.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER; /* signalled when a state or loads_under_way changed */
static struct zp_record *records;
static unsigned int loads_under_way;
static bool files_disabled;
static unsigned int
	files_disabling; /* threads that wait until no load is running, which keeps new loads from starting */

static struct zp_record *find(const char *type)
{
	struct zp_record *record = records;
	while (record && strcmp(record->type, type) != 0)
		record = record->next;
	return record;
}

static struct zp_record *find_or_add(const char *type)
{
	struct zp_record *record = find(type);
	if (record)
		return record;
	record = calloc(1, sizeof(*record));
	if (!record)
		return NULL;
	(void)strcpy(record->type, type);
	record->next = records;
	records = record;
	return record;
}

/* Frees a record that holds nothing worth keeping. */
static void forget_if_idle(struct zp_record *record)
{
	if (record->state != ZP_ABSENT || record->waiters || record->failure.content)
		return;
	struct zp_record **link = &records;
	while (*link != record)
		link = &(*link)->next;
	*link = record->next;
	zp_load_failure_clear(&record->failure);
	free(record);
}

static bool is_busy(const struct zp_record *record)
{
	return record->state == ZP_LOADING || record->state == ZP_UNLOADING;
}

static int fail_inside(const char *type)
{
	return zp_fail(
		EDEADLK,
		"Driver \"%s\" is needed inside the initialisation of a plugin, where no driver can be loaded; load it before or afterwards.",
		type);
}

static int fail_call_inside(const char *call)
{
	return zp_fail(
		EDEADLK,
		"%s was called inside the initialisation of a plugin, or from a log handler during a load, and would deadlock; call it after the load.",
		call);
}

/* Marks the start of a load or unload by this thread. The caller holds the lock. */
static void enter_load(void)
{
	loads_under_way++;
	zp_loader_enter();
}

/* Marks its end, after the record has been updated. The caller holds the lock. */
static void leave_load(void)
{
	zp_loader_leave();
	loads_under_way--;
	pthread_cond_broadcast(&changed);
}

static int fail_as_remembered(const struct zp_record *record)
{
	const struct zp_load_failure *failure = &record->failure;
	return zp_fail(failure->err, "%s",
		       failure->message ? failure->message : "Out of memory while loading a driver.");
}

/* Waits until the load or unload of this record has ended. */
static int wait_for(struct zp_record *record)
{
	int err = 0;

	if (zp_loader_inside())
		return fail_inside(record->type);
	const struct timespec until = zp_patience_deadline();
	record->waiters++;
	while (is_busy(record) && !err)
		err = pthread_cond_timedwait(&changed, &lock, &until);
	record->waiters--;
	if (is_busy(record))
		return zp_fail(
			EDEADLK,
			"Driver \"%s\": another thread has been loading or unloading it for %u seconds; its initialisation may be waiting for this thread.",
			record->type, zp_patience_s());
	return 0;
}

/* Waits until no load is running. Returns false if some load did not end in time. */
static bool wait_for_all_loads(void)
{
	const struct timespec until = zp_patience_deadline();
	int err = 0;

	while (loads_under_way && !err)
		err = pthread_cond_timedwait(&changed, &lock, &until);
	return loads_under_way == 0;
}

static bool files_allowed(void)
{
	return !files_disabled && !files_disabling;
}

static void refuse_loaded(const char *type, const struct zp_loaded *loaded, int err, const char *why,
			  struct zp_load_failure *failure)
{
	if (err == -ENOEXEC && loaded->path) {
		(void)zp_load_failure_set_content(failure, type, loaded->path, &loaded->id, why);
		return;
	}
	failure->err = -err;
	if (asprintf(&failure->message, "Driver \"%s\" from %s cannot be used: %s.", type,
		     loaded->path ? loaded->path : "the program", why) < 0)
		failure->message = NULL;
}

/* Loads the driver and checks its structure, without holding the lock. */
static int load_and_adopt(const char *type, bool files, const struct zp_load_failure *remembered,
			  struct zp_loaded *loaded, struct zpool_driver *own, struct zp_load_failure *failure)
{
	char why[256] = "out of memory";
	int err = zp_loader_load(type, files, remembered, loaded, failure);
	if (err)
		return err;
	err = zp_driver_adopt(loaded->driver, loaded->symbol_bytes, type, own, why, sizeof(why));
	if (err) {
		refuse_loaded(type, loaded, err, why, failure);
		zp_loader_discard(loaded);
		return err;
	}
	if (own->flags_required & ZPOOL_DRIVER_RESIDENT)
		zp_loader_make_resident(loaded);
	return 0;
}

/* The caller holds the lock, which is released during the load. */
static int load(struct zp_record *record)
{
	struct zp_load_failure failure = { 0 }, remembered = record->failure;
	struct zp_loaded loaded;
	struct zpool_driver own;
	bool files = files_allowed();

	if (zp_loader_inside())
		return fail_inside(record->type);
	record->state = ZP_LOADING;
	record->failure = (struct zp_load_failure){ 0 };
	enter_load();
	pthread_mutex_unlock(&lock);
	int err = load_and_adopt(record->type, files, &remembered, &loaded, &own, &failure);
	zp_load_failure_clear(&remembered);
	pthread_mutex_lock(&lock);

	record->loads++;
	record->state = err ? ZP_ABSENT : ZP_LIVE;
	record->failure = failure;
	if (!err) {
		record->driver = own;
		record->loaded = loaded;
		record->origin = loaded.path ? ZPOOL_ORIGIN_FILE : ZPOOL_ORIGIN_PRELOADED;
	}
	leave_load();
	return err ? fail_as_remembered(record) : 0;
}

int zp_registry_get(const char *type, struct zp_record **out)
{
	int err = 0;

	pthread_mutex_lock(&lock);
	struct zp_record *record = find_or_add(type);
	if (!record) {
		pthread_mutex_unlock(&lock);
		return zp_fail(ENOMEM, "Out of memory while looking for driver \"%s\".", type);
	}
	while (!err && record->state != ZP_LIVE) {
		unsigned int loads = record->loads;
		err = is_busy(record) ? wait_for(record) : load(record);
		/* A thread that waited for a load shares its failure instead of trying again. */
		if (!err && record->state == ZP_ABSENT && record->loads != loads && record->failure.err)
			err = fail_as_remembered(record);
	}
	if (!err) {
		record->users++;
		*out = record;
	} else {
		forget_if_idle(record);
	}
	pthread_mutex_unlock(&lock);
	if (err)
		zp_log(ZPOOL_LOG_INFO, "%s", zpool_last_error());
	return err;
}

void zp_registry_put(struct zp_record *record)
{
	pthread_mutex_lock(&lock);
	record->users--;
	pthread_mutex_unlock(&lock);
}

int zp_registry_begin_load(void)
{
	if (zp_loader_inside())
		return fail_call_inside("zpool_each_driver()");
	pthread_mutex_lock(&lock);
	enter_load();
	pthread_mutex_unlock(&lock);
	return 0;
}

void zp_registry_end_load(void)
{
	pthread_mutex_lock(&lock);
	leave_load();
	pthread_mutex_unlock(&lock);
}

bool zp_registry_files_allowed(void)
{
	pthread_mutex_lock(&lock);
	bool allowed = files_allowed();
	pthread_mutex_unlock(&lock);
	return allowed;
}

void zp_registry_each_live(void (*fn)(const struct zp_record *record, void *user), void *user)
{
	pthread_mutex_lock(&lock);
	for (const struct zp_record *record = records; record; record = record->next)
		if (record->state == ZP_LIVE)
			fn(record, user);
	pthread_mutex_unlock(&lock);
}

/*
 * A load or unload of this type says nothing yet about whether the type is taken: most often another thread only looks
 * for a driver that does not exist. The caller holds the lock.
 */
static int wait_until_settled(struct zp_record *record)
{
	int err = 0;

	if (is_busy(record) && zp_loader_inside())
		return fail_call_inside("zpool_register_driver()");
	while (is_busy(record) && !err)
		err = wait_for(record);
	return err;
}

/* The caller holds the lock. */
static int register_adopted(const struct zpool_driver *driver, const struct zpool_driver *own)
{
	struct zp_record *record = find_or_add(own->type);
	if (!record)
		return zp_fail(ENOMEM, "Out of memory while registering driver \"%s\".", own->type);
	int err = wait_until_settled(record);
	if (err)
		return err;
	if (record->state != ZP_ABSENT)
		return zp_fail(EEXIST, "A driver \"%s\" is already %s.", own->type,
			       record->registered ? "registered" : "loaded");
	zp_load_failure_clear(&record->failure);
	record->state = ZP_LIVE;
	record->origin = ZPOOL_ORIGIN_REGISTERED;
	record->registered = driver;
	record->driver = *own;
	return 0;
}

int zpool_register_driver(const struct zpool_driver *driver)
{
	ZP_CANCEL_DISABLED_HERE;
	char why[256] = "out of memory";
	struct zpool_driver own;

	if (!driver)
		return zp_fail(EINVAL, "zpool_register_driver() was given no driver.");
	int err = zp_driver_adopt(driver, 0, NULL, &own, why, sizeof(why));
	if (err)
		return zp_fail(err == -ENOMEM ? ENOMEM : EINVAL, "The driver cannot be registered: %s.", why);

	pthread_mutex_lock(&lock);
	err = register_adopted(driver, &own);
	pthread_mutex_unlock(&lock);
	if (err)
		zp_driver_clear(&own);
	return err;
}

/* Empties a record whose code is no longer used. */
static void retire(struct zp_record *record)
{
	zp_driver_clear(&record->driver);
	free(record->loaded.path);
	record->loaded = (struct zp_loaded){ 0 };
	record->registered = NULL;
	record->state = ZP_ABSENT;
}

static int fail_busy(const struct zp_record *record)
{
	return zp_fail(EBUSY, "Driver \"%s\" is in use by %u pool%s; destroy %s first.", record->type, record->users,
		       ZPOOL_PLURAL(record->users), record->users == 1 ? "it" : "them");
}

int zpool_unregister_driver(const struct zpool_driver *driver)
{
	ZP_CANCEL_DISABLED_HERE;
	int err = 0;
	if (!driver)
		return zp_fail(EINVAL, "zpool_unregister_driver() was given no driver.");
	pthread_mutex_lock(&lock);
	struct zp_record *record = records;
	while (record && record->registered != driver)
		record = record->next;
	if (!record) {
		err = zp_fail(ENOENT, "The driver at %p is not registered.", (const void *)driver);
	} else if (record->users) {
		err = fail_busy(record);
	} else {
		retire(record);
		forget_if_idle(record);
	}
	pthread_mutex_unlock(&lock);
	return err;
}

static int check_unloadable(const struct zp_record *record, const char *type)
{
	if (!record || record->state == ZP_ABSENT)
		return zp_fail(ENOENT, "Driver \"%s\" is not loaded.", type);
	if (is_busy(record))
		return zp_fail(EBUSY, "Driver \"%s\" is being loaded or unloaded.", type);
	if (record->origin != ZPOOL_ORIGIN_FILE)
		return zp_fail(EPERM, "Driver \"%s\" is linked into the program and cannot be unloaded.", type);
	if (record->users)
		return fail_busy(record);
	if (record->driver.flags_required & ZPOOL_DRIVER_RESIDENT)
		return zp_fail(
			EOPNOTSUPP,
			"Driver \"%s\" is resident: it stays in memory until the process ends, even if its file changes.",
			type);
	return 0;
}

/* The caller holds the lock, which is released during the unload. */
static int unload(struct zp_record *record)
{
	char *why;
	int err = 0;

	record->state = ZP_UNLOADING;
	enter_load();
	pthread_mutex_unlock(&lock);
	int closed = zp_loader_unload(&record->loaded, &why);
	pthread_mutex_lock(&lock);
	if (closed > 0) {
		retire(record);
		forget_if_idle(record);
	} else {
		record->state = ZP_LIVE;
		err = closed < 0
			      ? zp_fail(-closed, "Driver \"%s\" was not unloaded: %s.", record->type,
					why ? why : "out of memory")
			      : zp_fail(EOPNOTSUPP,
					"Driver \"%s\" was closed, but the system keeps its code mapped; the driver remains usable, and a changed file would not be loaded.",
					record->type);
	}
	free(why);
	leave_load();
	return err;
}

int zpool_unload_driver(const char *type)
{
	ZP_CANCEL_DISABLED_HERE;
	char parsed[ZP_TYPE_BYTES];
	if (!type || !zp_type_parse(type, strnlen(type, ZP_TYPE_BYTES), parsed))
		return zp_fail(EINVAL, "zpool_unload_driver() was not given a driver's name.");
	if (zp_loader_inside())
		return fail_inside(parsed);

	pthread_mutex_lock(&lock);
	struct zp_record *record = find(parsed);
	int err = check_unloadable(record, parsed);
	if (!err)
		err = unload(record);
	pthread_mutex_unlock(&lock);
	return err;
}

int zpool_rescan(void)
{
	ZP_CANCEL_DISABLED_HERE;
	if (zp_loader_inside())
		return fail_call_inside("zpool_rescan()");
	pthread_mutex_lock(&lock);
	for (struct zp_record *record = records, *next; record; record = next) {
		next = record->next;
		if (record->state == ZP_ABSENT) {
			zp_load_failure_clear(&record->failure);
			forget_if_idle(record);
		}
	}
	pthread_mutex_unlock(&lock);
	return 0;
}

int zpool_loading_disable(void)
{
	ZP_CANCEL_DISABLED_HERE;
	if (zp_loader_inside())
		return fail_call_inside("zpool_loading_disable()");
	int err = 0;
	pthread_mutex_lock(&lock);
	files_disabling++;
	if (wait_for_all_loads())
		files_disabled = true;
	else
		err = zp_fail(
			EDEADLK,
			"zpool_loading_disable(): another thread has been loading or unloading a driver for %u seconds; its initialisation may be waiting for this thread; loading was not disabled.",
			zp_patience_s());
	files_disabling--;
	pthread_mutex_unlock(&lock);
	return err;
}

void zp_registry_fork_prepare(void)
{
	pthread_mutex_lock(&lock);
	/*
	 * A fork from inside a load would wait for itself, and so would a fork in a thread that a load waits for. Both
	 * are undefined, but they should not hang.
	 */
	if (!zp_loader_inside())
		(void)wait_for_all_loads();
}

void zp_registry_fork_release(bool child)
{
	if (child) {
		/* The threads that waited in the parent do not exist in the child. */
		(void)pthread_cond_init(&changed, NULL);
		loads_under_way = 0;
		files_disabling = 0;
		zp_loader_fork_child();
	}
	pthread_mutex_unlock(&lock);
}
