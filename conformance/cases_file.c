/* SPDX-License-Identifier: MIT
 *
 * cases_file.c - the plugin's file: its name, header and note agree, it exports only the driver, needs no symbols of
 * libzpool, is bound at load time, and can be unloaded and loaded again
 */
#include "cases.h"
#include "crowd.h"
#include "module.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zpool-driver.h>

/* A copy of what zpool_each_driver() reports about the driver. */
struct listed {
	bool found, loaded, has_note;
	char path[PATH_MAX];
	char version[128], description[512], fault[1024];
	uint32_t abi_major, abi_minor, caps;
};

static int copy_listed(const struct zpool_driver_info *info, void *user)
{
	struct listed *listed = user;

	if (strcmp(info->type, ct.type) != 0)
		return 0;
	listed->found = true;
	listed->loaded = info->loaded;
	listed->has_note = info->has_note;
	listed->caps = info->caps;
	listed->abi_major = info->abi_major;
	listed->abi_minor = info->abi_minor;
	snprintf(listed->path, sizeof(listed->path), "%s", info->path ? info->path : "");
	snprintf(listed->version, sizeof(listed->version), "%s", info->version ? info->version : "");
	snprintf(listed->description, sizeof(listed->description), "%s", info->description ? info->description : "");
	snprintf(listed->fault, sizeof(listed->fault), "%s", info->fault ? info->fault : "");
	return 1;
}

static void look_up(struct listed *listed)
{
	memset(listed, 0, sizeof(*listed));
	zpool_each_driver(copy_listed, listed);
}

static void open_module(struct ct_module *module)
{
	const char *fault = ct_module_open(module, ct.file);

	CT_CHECK(fault == NULL, "%s: %s", ct.file, fault);
}

static void file_is_a_plugin(void)
{
	struct listed listed;

	look_up(&listed);
	CT_CHECK(listed.found, "the library does not see driver \"%s\" in %s", ct.type, ct.file);
	CT_CHECK(strcmp(listed.path, ct.file) == 0,
		 "driver \"%s\" is loaded from %s, which comes before %s in the search path", ct.type,
		 listed.path[0] ? listed.path : "the program itself", ct.file);
	CT_CHECK(listed.fault[0] == '\0', "%s: %s", ct.file, listed.fault);
	CT_CHECK(ct_loads(ct.type), "the library cannot load it: %s", zpool_last_error());
}

static void file_note_matches_the_driver(void)
{
	struct listed note, head;

	look_up(&note);
	if (!note.has_note)
		ct_skip("%s has no ELF note, so that tools cannot identify it; define the driver with ZPOOL_DRIVER_DEFINE",
			ct.file);
	CT_CHECK(ct_loads(ct.type), "the library cannot load it: %s", zpool_last_error());
	look_up(&head);
	CT_CHECK(head.loaded, "the driver was loaded, but zpool_each_driver() does not show it as loaded");
	CT_CHECK(note.abi_major == head.abi_major && note.abi_minor == head.abi_minor,
		 "the note has ABI %u.%u, but the driver has %u.%u", note.abi_major, note.abi_minor, head.abi_major,
		 head.abi_minor);
	CT_CHECK(strcmp(note.version, head.version) == 0, "the note has version \"%s\", but the driver has \"%s\"",
		 note.version, head.version);
	CT_CHECK(strcmp(note.description, head.description) == 0,
		 "the note has the description \"%s\", but the driver has \"%s\"", note.description, head.description);
}

/* Returns true for a symbol of the compiler, the linker or their libraries: two underscores, or one of these names. */
static bool is_the_compilers(const char *name)
{
	static const char *const names[] = { "_init", "_fini", "_edata", "_end", "_etext", "mangle_path" };

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return name[0] == '_' && name[1] == '_';
}

static void expect_drivers_own(const char *name, void *user)
{
	char own[64];

	(void)user;
	snprintf(own, sizeof(own), "%s_LTX_zpool_driver", ct.type);
	CT_CHECK(
		strcmp(name, "zpool_driver") == 0 || strcmp(name, own) == 0 || is_the_compilers(name),
		"%s exports the symbol \"%s\": compile with -fvisibility=hidden, make the symbol static, or link with a version script { global: zpool_driver; %s; local: *; };",
		ct.file, name, own);
}

static void file_exports_only_its_driver(void)
{
	struct ct_module module;

	open_module(&module);
	ct_module_symbols(&module, true, expect_drivers_own, NULL);
	ct_module_close(&module);
}

static void expect_not_ours(const char *name, void *user)
{
	(void)user;
	CT_CHECK(
		strncmp(name, "zpool_", 6) != 0,
		"%s needs the symbol \"%s\" from the program that loads it; a driver receives all it needs as arguments of create",
		ct.file, name);
}

static void expect_other_library(const char *name, void *user)
{
	(void)user;
	CT_CHECK(strncmp(name, "libzpool.so", 11) != 0,
		 "%s is linked with %s: a program with a static libzpool would then have two copies of the library",
		 ct.file, name);
}

static void file_does_not_need_libzpool(void)
{
	struct ct_module module;

	open_module(&module);
	ct_module_symbols(&module, false, expect_not_ours, NULL);
	ct_module_needed(&module, expect_other_library, NULL);
	ct_module_close(&module);
}

static void file_is_bound_at_load_time(void)
{
	struct ct_module module;

	open_module(&module);
	CT_CHECK(ct_module_binds_now(&module),
		 "%s uses lazy binding, which takes the dynamic linker's lock inside malloc: link with -Wl,-z,now",
		 ct.file);
	ct_module_close(&module);
}

/* Returns true if the file that the library opens under this name is mapped into this process. */
static bool is_mapped(const char *path)
{
	FILE *maps = fopen("/proc/self/maps", "r");
	char line[PATH_MAX + 256];
	bool mapped = false;

	if (!maps)
		ct_skip("this system has no /proc/self/maps");
	while (!mapped && fgets(line, sizeof(line), maps)) {
		const char *at = strchr(line, '/');
		size_t length = at ? strcspn(at, "\n") : 0;

		mapped = at && length == strlen(path) && memcmp(at, path, length) == 0;
	}
	fclose(maps);
	return mapped;
}

static void use_driver(int round)
{
	struct listed listed;
	struct zpool *pool;
	struct ct_object object;

	CT_CHECK(ct_loads(ct.type), "the driver cannot be loaded, on attempt %d: %s", round, zpool_last_error());
	look_up(&listed);
	/* A filter alone cannot create a pool. */
	if (listed.caps & ZPOOL_CAP_FILTER)
		return;
	ct.caps = listed.caps;
	pool = ct_pool_evicting(ct_evict_nothing, NULL);
	ct_object_make(pool, &object, 1, 1);
	ct_object_check(pool, &object, "after it was stored");
	zpool_destroy_pool(pool);
}

/* Returns true if the loaded driver has ZPOOL_DRIVER_RESIDENT. */
static bool is_resident(const char *path)
{
	void *module = dlopen(path, RTLD_LAZY | RTLD_NOLOAD);
	const struct zpool_driver *driver = module ? dlsym(module, "zpool_driver") : NULL;
	bool resident = driver && driver->flags_required & ZPOOL_DRIVER_RESIDENT;

	if (module)
		dlclose(module);
	return resident;
}

/* A thread that uses the driver and ends after it was unloaded. */
static struct {
	pthread_t thread;
	int round;
	atomic_bool used, gone;
} witness;

static void *use_and_stay(void *arg)
{
	use_driver(witness.round);
	atomic_store(&witness.used, true);
	while (!atomic_load(&witness.gone) && !ct_stopping())
		ct_nap();
	return arg;
}

static void witness_start(int round)
{
	witness.round = round;
	atomic_store(&witness.used, false);
	atomic_store(&witness.gone, false);
	CT_CHECK(pthread_create(&witness.thread, NULL, use_and_stay, NULL) == 0,
		 "the test suite cannot start a thread");
	while (!atomic_load(&witness.used) && !ct_stopping())
		ct_nap();
}

static void witness_end(void)
{
	atomic_store(&witness.gone, true);
	pthread_join(witness.thread, NULL);
}

static void file_can_be_unloaded_and_loaded_again(void)
{
	char resolved[PATH_MAX];
	bool resident;
	int result;

	CT_CHECK(realpath(ct.file, resolved) != NULL, "%s does not exist", ct.file);
	for (int round = 1; round <= 3; round++) {
		use_driver(round);
		witness_start(round);
		CT_CHECK(is_mapped(resolved), "%s is loaded, but /proc/self/maps does not show it", resolved);
		resident = is_resident(resolved);
		result = zpool_unload_driver(ct.type);
		/* Destroying the last pool must cancel what the driver would do when a thread ends. */
		witness_end();
		if (result == -EOPNOTSUPP && (resident || ct_instrumented()))
			ct_skip("%s", zpool_last_error());
		CT_CHECK(result == 0, "unloading returned %s: %s", ct_error_name(result), zpool_last_error());
		CT_CHECK(!is_mapped(resolved), "%s was unloaded, but /proc/self/maps still shows it", resolved);
	}
}

static const struct ct_case file_cases[] = {
	{ "file_is_a_plugin",
	  "The file is named like a driver, its owner and permissions can be trusted, and its header and note are valid.",
	  file_is_a_plugin, CT_FILE },
	{ "file_note_matches_the_driver", "The file's note has the version, ABI and description of the driver.",
	  file_note_matches_the_driver, CT_FILE },
	{ "file_exports_only_its_driver",
	  "The file exports nothing except the driver's structure, under its two names.", file_exports_only_its_driver,
	  CT_FILE },
	{ "file_does_not_need_libzpool", "The file needs no zpool_ symbol and is not linked with libzpool.",
	  file_does_not_need_libzpool, CT_FILE },
	{ "file_is_bound_at_load_time",
	  "All symbols are bound at load time, so that no call takes the dynamic linker's lock.",
	  file_is_bound_at_load_time, CT_FILE },
	{ "file_can_be_unloaded_and_loaded_again",
	  "Unloading the driver unmaps its file unless it has ZPOOL_DRIVER_RESIDENT; threads that used it can end afterwards, and the driver can be loaded and used again.",
	  file_can_be_unloaded_and_loaded_again, CT_FILE },
	{ NULL, NULL, NULL, 0 },
};

const struct ct_group ct_groups_file[] = { { "the file", file_cases }, { NULL, NULL } };
