/* SPDX-License-Identifier: MIT
 *
 * process.c - the roles that do not use the pools of places: private pools, loading, the log, dumps and fork
 */
#include <config.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __linux__
#include <sys/prctl.h>
#endif

#include <zpool-driver.h>

#include "races.h"
#include "plugins/shipped.h"

#define TYPE(type) type,
static const char *const types[] = { SHIPPED_DRIVERS(TYPE) SHIPPED_FILTERS(TYPE) };
enum { TYPES = sizeof(types) / sizeof(types[0]) };
enum { PRIVATE_STEPS = 150, CHILD_OBJECTS = 4, CHILD_STEPS = 40, PATH_BYTES = 4096 };

static const char *some_type(struct ct_rng *rng)
{
	return types[ct_rng_below(rng, TYPES)];
}

/* ---- a pool of one thread ---- */

void step_private(struct place *unused, struct ct_rng *rng)
{
	struct place *place = calloc(1, sizeof(*place));

	(void)unused;
	races_check(place, "no memory");
	place->number = PLACES_MAX + self->serial;
	atomic_store_explicit(&self->place, place, memory_order_relaxed);
	place_open(place, rng);
	for (uint64_t i = place->pool ? ct_rng_below(rng, PRIVATE_STEPS) : 0; i > 0; i--)
		(void)(ct_rng_below(rng, 3) ? object_store(place) : object_free(place));
	if (place->pool && place->callback_evicts)
		(void)CALL(zpool_shrink(place->pool, 2, NULL));
	place_close(place);
	atomic_store_explicit(&self->place, NULL, memory_order_relaxed);
	free(place);
}

/* ---- plugins ---- */

static char plugin_path[PATH_BYTES], longer_path[PATH_BYTES + 64];

static int see_driver(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	if (races.may_cancel)
		pthread_testcancel();
	races_check(info->type && *info->type, "each_driver reported a driver without a type");
	return 0;
}

static int see_param(const struct zpool_param *param, size_t size, void *user)
{
	(void)size, (void)user;
	if (races.may_cancel)
		pthread_testcancel();
	races_check(param->key && *param->key, "each_param reported a parameter without a key");
	return 0;
}

static void set_path(struct ct_rng *rng)
{
	char path[PATH_BYTES + 64];
	int length;

	if (!*plugin_path)
		return;
	races_check(CALL(zpool_set_plugin_path(ct_rng_below(rng, 2) ? plugin_path : longer_path)) == 0, "path: %s",
		    zpool_last_error());
	length = CALL(zpool_get_plugin_path(path, sizeof(path)));
	races_check(length > 0 && (strcmp(path, plugin_path) == 0 || strcmp(path, longer_path) == 0),
		    "the plugin path is \"%s\"", path);
}

static void unload(struct ct_rng *rng)
{
	const char *type = some_type(rng);
	int err = CALL(zpool_unload_driver(type));

	races_check(err == 0 || err == -ENOENT || err == -EBUSY || err == -EOPNOTSUPP || err == -EPERM,
		    "unload of %s: %d (%s)", type, err, zpool_last_error());
	if (!err)
		tally(TALLY_UNLOADS);
}

void step_load(struct place *unused, struct ct_rng *rng)
{
	const char *type = some_type(rng);
	int err;

	(void)unused;
	switch (ct_rng_below(rng, 8)) {
	case 0:
		races_check(CALL(zpool_rescan()) == 0, "rescan: %s", zpool_last_error());
		break;
	case 1:
		err = CALL(zpool_each_driver(see_driver, NULL));
		races_check(err == 0, "each_driver: %d (%s)", err, zpool_last_error());
		break;
	case 2:
		err = CALL(zpool_each_param(type, see_param, NULL));
		races_check(err == 0, "each_param of %s: %d (%s)", type, err, zpool_last_error());
		break;
	case 3:
		races_check(!CALL(zpool_has_pool("no_such_driver")), "there is a driver of the name no_such_driver");
		break;
	case 4:
		set_path(rng);
		break;
	default:
		unload(rng);
	}
}

/* ---- a driver in the program, which several actors register and unregister ---- */

static int own_create(const struct zpool_create_args *args, struct zpool_created *out)
{
	(void)args;
	out->pool = calloc(1, 16);
	return out->pool ? 0 : -ENOMEM;
}

static int own_malloc(void *pool, size_t size, zpool_gfp_t gfp, unsigned long *handle)
{
	void *at = calloc(1, size);

	(void)pool, (void)gfp;
	*handle = (unsigned long)(uintptr_t)at;
	return at ? 0 : -ENOMEM;
}

static int own_free(void *pool, unsigned long handle)
{
	(void)pool;
	free((void *)(uintptr_t)handle);
	return 0;
}

static uint64_t own_total_size(void *pool)
{
	(void)pool;
	return 16;
}

static void *own_map(void *pool, unsigned long handle, enum zpool_mapmode mode)
{
	(void)pool, (void)mode;
	return (void *)(uintptr_t)handle;
}

static int own_unmap(void *pool, unsigned long handle)
{
	(void)pool, (void)handle;
	return 0;
}

static const struct zpool_driver own_driver = {
	.magic = ZPOOL_DRIVER_MAGIC,
	.abi_major = ZPOOL_ABI_MAJOR,
	.abi_minor = ZPOOL_ABI_MINOR,
	.struct_size = sizeof(own_driver),
	.param_size = sizeof(struct zpool_param),
	.type = "races_own",
	.version = "1",
	.description = "a driver for a test",
	.max_object_bytes = 4096,
	.alignment_bytes = 8,
	.create = own_create,
	.destroy = free,
	.malloc = own_malloc,
	.free = own_free,
	.total_size = own_total_size,
	.map = own_map,
	.unmap = own_unmap,
};

void step_register(struct place *unused, struct ct_rng *rng)
{
	int err = CALL(zpool_register_driver(&own_driver));
	unsigned long handle = 0;
	struct zpool *pool;

	(void)unused;
	races_check(err == 0 || err == -EEXIST, "register: %d (%s)", err, zpool_last_error());
	pool = CALL(zpool_create_pool("races_own", ZPOOL_GFP_KERNEL, NULL));
	races_check(pool || errno == ENOENT, "races_own: %s", zpool_last_error());
	if (pool) {
		races_check(CALL(zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle)) == 0, "races_own: %s",
			    zpool_last_error());
		nap(rng, 100);
		races_check(CALL(zpool_unregister_driver(&own_driver)) == -EBUSY, "a driver in use was unregistered");
		CALL_VOID(zpool_free(pool, handle));
		CALL_VOID(zpool_destroy_pool(pool));
	}
	err = CALL(zpool_unregister_driver(&own_driver));
	races_check(err == 0 || err == -EBUSY || err == -ENOENT, "unregister: %d (%s)", err, zpool_last_error());
}

/* ---- the log ---- */

enum { COOKIE_ALIVE = 0x600d };

struct cookie {
	int state;
};

static pthread_mutex_t cookie_lock = PTHREAD_MUTEX_INITIALIZER;
static struct cookie *cookie; /* of the current handler */

static void hear(enum zpool_log_level level, const char *message, void *user)
{
	static const char *const damage[] = { "overrun", "underrun", "use after unmap", "damaged", "corrupt" };
	const struct cookie *mine = user;

	(void)level;
	if (races.may_cancel)
		pthread_testcancel();
	races_check(mine->state == COOKIE_ALIVE, "a log handler was called after it had been replaced");
	for (size_t i = 0; i < sizeof(damage) / sizeof(damage[0]); i++)
		races_check(!strstr(message, damage[i]), "the log says: %s", message);
	(void)zpool_version();
	(void)zpool_rescan();
}

static void replace_handler(enum zpool_log_level level)
{
	struct cookie *fresh = calloc(1, sizeof(*fresh));
	int err;

	races_check(fresh, "no memory");
	fresh->state = COOKIE_ALIVE;
	(void)pthread_mutex_lock(&cookie_lock);
	err = CALL(zpool_set_log_handler(hear, level, fresh));
	races_check(err == 0, "set_log_handler: %d (%s)", err, zpool_last_error());
	if (cookie)
		cookie->state = 0;
	free(cookie);
	cookie = fresh;
	(void)pthread_mutex_unlock(&cookie_lock);
}

void step_log(struct place *unused, struct ct_rng *rng)
{
	(void)unused;
	replace_handler((enum zpool_log_level)ct_rng_below(rng, 4));
	nap(rng, 5000);
}

/* ---- dumps ---- */

static int null_fd = -1;

void step_dump(struct place *unused, struct ct_rng *rng)
{
	int err = CALL(zpool_dump(null_fd, ct_rng_below(rng, 2) ? ZPOOL_DUMP_JSON : ZPOOL_DUMP_TEXT));

	(void)unused;
	races_check(err == 0, "dump: %d (%s)", err, zpool_last_error());
	nap(rng, 2000);
}

/* ---- fork ---- */

/*
 * The child has a single thread.  Claims and mappings of the parent's other threads are never released in it, so it
 * uses only objects that were unclaimed or that its own thread had claimed.
 */
_Noreturn static void be_child(struct place *place, struct object **mine, unsigned int count, struct ct_rng *rng)
{
#ifdef __linux__
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
#endif
	for (unsigned int i = 0; i < count; i++)
		object_check(place, mine[i]);
	for (int i = 0; i < CHILD_STEPS; i++) {
		(void)object_store(place);
		(void)object_verify(place);
		(void)object_rewrite(place);
		(void)object_free(place);
	}
	(void)CALL(zpool_compact(place->pool, 0, 0, NULL));
	if (place->callback_evicts)
		(void)CALL(zpool_shrink(place->pool, 3, NULL));
	(void)CALL(zpool_trim(place->pool, NULL));
	step_dump(place, rng);
	step_private(place, rng);
	for (unsigned int i = 0; i < count; i++)
		object_check(place, mine[i]);
	_exit(0);
}

static void await_child(pid_t pid)
{
	int status, state;

	(void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
	while (waitpid(pid, &status, 0) < 0)
		races_check(errno == EINTR, "waitpid: %s", strerror(errno));
	(void)pthread_setcancelstate(state, &state);
	races_check(status == 0, "the forked process ended with status %#x", (unsigned int)status);
}

void step_fork(struct place *place, struct ct_rng *rng)
{
	struct object *mine[CHILD_OBJECTS];
	unsigned int count = 0;
	pid_t pid;

	for (unsigned int i = 0; i < races.object_count && count < CHILD_OBJECTS && races.may_fork; i++) {
		struct object *object = &place->objects[i];

		if (!object_try_read(object))
			continue;
		if (atomic_load(&object->handle))
			mine[count++] = object;
		else
			object_end_read(object);
	}
	if (!races.may_fork)
		return;
	call_begin("fork()");
	pid = fork();
	if (pid == 0)
		be_child(place, mine, count, rng);
	races_check(pid > 0, "fork: %s", strerror(errno));
	call_end();
	tally(TALLY_FORKS);
	call_begin("waitpid()");
	await_child(pid);
	call_end();
	for (unsigned int i = 0; i < count; i++)
		object_end_read(mine[i]);
}

/* ---- begin and end ---- */

void process_init(void)
{
	int length = zpool_get_plugin_path(plugin_path, sizeof(plugin_path));

	if (length <= 0 || (size_t)length >= sizeof(plugin_path))
		*plugin_path = '\0';
	(void)snprintf(longer_path, sizeof(longer_path), "/nonexistent/zpool:%s", plugin_path);
	null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	races_check(null_fd >= 0, "/dev/null: %s", strerror(errno));
	replace_handler(ZPOOL_LOG_INFO);
}

/* All pools were destroyed, so no driver has users. */
static int see_unused(const struct zpool_driver_info *info, void *user)
{
	(void)user;
	races_check(info->pools == 0, "driver %s still has %u pools", info->type, info->pools);
	return 0;
}

void process_fini(void)
{
	(void)zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
	free(cookie);
	(void)close(null_fd);
	races_check(zpool_each_driver(see_unused, NULL) == 0, "each_driver: %s", zpool_last_error());
	for (int i = 0; i < TYPES; i++) {
		int err = zpool_unload_driver(types[i]);

		races_check(err != -EBUSY, "driver %s cannot be unloaded: %s", types[i], zpool_last_error());
	}
}
