/* SPDX-License-Identifier: MIT
 *
 * plugin.c - the zpool plugin of nbdkit: a sparse disk in compressed memory
 *
 * nbdkit calls the functions of the table at the end.  The plugin validates all parameters before nbdkit forks into the
 * background, while the user still sees the errors.  The store does not survive fork(2), so the plugin opens it again
 * after the fork.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>

#include <zpool.h>

#include "backing.h"
#include "disk.h"
#include "nbdkit.h"
#include "report.h"
#include "settings.h"

#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

/* This is nbdkit's own maximum, which it does not export. */
#define REQUEST_BYTES_MAX (64u * 1024 * 1024)

static struct settings settings;
static struct backing backing;
static struct disk *disk;

/* ------------------------------------------------------------------------------------------------------------------
 * From the command line to the first client
 */

static void log_message(enum zpool_log_level level, const char *message, void *unused)
{
	(void)unused;
	if (level == ZPOOL_LOG_ERROR)
		nbdkit_error("%s", message);
	else
		nbdkit_debug("zpool: %s", message);
}

static void plugin_load(void)
{
	settings_init(&settings);
	backing_init(&backing);
	(void)zpool_set_log_handler(log_message, ZPOOL_LOG_INFO, NULL);
}

static int plugin_config(const char *key, const char *value)
{
	return settings_set(&settings, key, value);
}

static int plugin_config_complete(void)
{
	return settings_check(&settings);
}

struct type_list {
	FILE *to;
	const char *separator;
	enum zpool_driver_kind kind;
	unsigned int found;
};

static int print_type(const struct zpool_driver_info *info, void *user)
{
	struct type_list *list = user;

	if (info->fault || info->kind != list->kind)
		return 0;
	fprintf(list->to, "%s%s", list->found ? list->separator : "", info->type);
	list->found++;
	return 0;
}

static void tell_drivers(void)
{
	char *text = NULL;
	size_t length;
	struct type_list list = { .separator = ", ", .kind = ZPOOL_KIND_DRIVER };

	list.to = open_memstream(&text, &length);
	if (!list.to)
		return;
	(void)zpool_each_driver(print_type, &list);
	if (!fclose(list.to) && list.found)
		nbdkit_error("the drivers that are installed: %s", text);
	free(text);
}

/* Opens a store without the backing, to validate the other parameters before a file is created. */
static int try_pool(void)
{
	struct settings trial = settings;
	struct disk *trial_disk;
	struct backing none;

	backing_init(&none);
	if (!trial.size_bytes)
		trial.size_bytes = trial.unit_bytes;
	trial_disk = disk_open(&trial, &none);
	if (!trial_disk && !zpool_has_pool(settings.driver))
		tell_drivers();
	disk_close(trial_disk);
	return trial_disk ? 0 : -1;
}

static int try_backing(void)
{
	struct disk *trial;

	if (!settings.backing)
		return 0;
	if (backing_open(&backing, &settings))
		return -1;
	if (!settings.size_bytes)
		settings.size_bytes = backing.size_bytes;
	trial = disk_open(&settings, &backing);
	disk_close(trial);
	return trial ? 0 : -1;
}

static int plugin_get_ready(void)
{
	return try_pool() || report_prepare(&settings) || try_backing() ? -1 : 0;
}

static int plugin_after_fork(void)
{
	if (backing_check_user(&backing))
		return -1;
	disk = disk_open(&settings, &backing);
	return disk ? report_start(disk) : -1;
}

/* All clients have disconnected.  Closing the store would flush it as well, but could not report an error. */
static void plugin_cleanup(void)
{
	if (disk && settings.backing && disk_flush(disk))
		nbdkit_error("some data written since the last flush are not in the backing %s", settings.backing);
	report_stop();
}

static void plugin_unload(void)
{
	report_fini();
	disk_close(disk);
	disk = NULL;
	backing_close(&backing);
	settings_fini(&settings);
	(void)zpool_set_log_handler(NULL, ZPOOL_LOG_ERROR, NULL);
}

static void plugin_dump(void)
{
	struct type_list list = { .to = stdout, .separator = " " };

	printf("zpool_version=%s\n", zpool_version());
	for (int kind = ZPOOL_KIND_DRIVER; kind <= ZPOOL_KIND_FILTER; kind++) {
		list.kind = (enum zpool_driver_kind)kind;
		list.found = 0;
		printf(kind == ZPOOL_KIND_DRIVER ? "zpool_drivers=" : "zpool_filters=");
		(void)zpool_each_driver(print_type, &list);
		printf("\n");
	}
#ifdef HAVE_LIBNBD
	printf("zpool_nbd_backing=yes\n");
#else
	printf("zpool_nbd_backing=no\n");
#endif
	printf("zpool_unit_min=%d\nzpool_unit_max=%d\n", ZPOOL_STORE_UNIT_BYTES_MIN, ZPOOL_STORE_UNIT_BYTES_MAX);
}

/* ------------------------------------------------------------------------------------------------------------------
 * What the plugin reports to clients
 */

static void *plugin_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t plugin_get_size(void *handle)
{
	(void)handle;
	return (int64_t)settings.size_bytes;
}

static int say_yes(void *handle)
{
	(void)handle;
	return 1;
}

static int plugin_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

static int plugin_can_cache(void *handle)
{
	(void)handle;
	return NBDKIT_CACHE_NATIVE;
}

static int plugin_block_size(void *handle, uint32_t *minimum, uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = 1;
	*preferred = (uint32_t)settings.unit_bytes;
	*maximum = REQUEST_BYTES_MAX;
	return 0;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Requests
 */

static int plugin_pread(void *handle, void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return disk_read(disk, buf, count, offset);
}

/* Makes the changes of a request stable if the client asked for that (FUA). */
static int force_unit_access(uint32_t count, uint64_t offset, uint32_t flags)
{
	return flags & NBDKIT_FLAG_FUA ? disk_sync(disk, count, offset) : 0;
}

static int plugin_pwrite(void *handle, const void *buf, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	if (disk_write(disk, buf, count, offset))
		return -1;
	return force_unit_access(count, offset, flags);
}

/* Zeroing is always faster than writing zeroes, so a request for a fast zero needs no special treatment. */
static int plugin_zero(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	if (disk_zero(disk, count, offset, flags & NBDKIT_FLAG_MAY_TRIM ? DISK_ZERO_HOLE : DISK_ZERO))
		return -1;
	return force_unit_access(count, offset, flags);
}

static int plugin_trim(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	if (disk_zero(disk, count, offset, DISK_TRIM))
		return -1;
	return force_unit_access(count, offset, flags);
}

static int plugin_flush(void *handle, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return disk_flush(disk);
}

static int plugin_extents(void *handle, uint32_t count, uint64_t offset, uint32_t flags, struct nbdkit_extents *extents)
{
	(void)handle;
	return disk_extents(disk, count, offset, flags & NBDKIT_FLAG_REQ_ONE, extents);
}

static int plugin_cache(void *handle, uint32_t count, uint64_t offset, uint32_t flags)
{
	(void)handle;
	(void)flags;
	return disk_prefetch(disk, count, offset);
}

static struct nbdkit_plugin plugin = {
	.name = "zpool",
	.longname = "nbdkit zpool plugin",
	.version = PACKAGE_VERSION,
	.description = "Sparse disk in compressed memory, in a pool of libzpool",
	.load = plugin_load,
	.unload = plugin_unload,
	.config = plugin_config,
	.config_complete = plugin_config_complete,
	.config_help = SETTINGS_HELP,
	.magic_config_key = "size",
	.dump_plugin = plugin_dump,
	.get_ready = plugin_get_ready,
	.after_fork = plugin_after_fork,
	.cleanup = plugin_cleanup,
	.open = plugin_open,
	.get_size = plugin_get_size,
	.can_flush = say_yes,
	.can_trim = say_yes,
	.can_zero = say_yes,
	.can_fast_zero = say_yes,
	.can_extents = say_yes,
	.can_multi_conn = say_yes,
	.can_fua = plugin_can_fua,
	.can_cache = plugin_can_cache,
	.block_size = plugin_block_size,
	.pread = plugin_pread,
	.pwrite = plugin_pwrite,
	.zero = plugin_zero,
	.trim = plugin_trim,
	.flush = plugin_flush,
	.extents = plugin_extents,
	.cache = plugin_cache,
};

/* nbdkit's macro defines the function without a prototype, and clang warns about that. */
struct nbdkit_plugin *plugin_init(void);

NBDKIT_REGISTER_PLUGIN(plugin)
