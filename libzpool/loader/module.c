/* SPDX-License-Identifier: MIT
 *
 * There are two kinds of modules. Files are opened with dlopen(RTLD_NOW | RTLD_LOCAL), an absolute path and no lock
 * held; this resolves every symbol at once, searches no directory and reports the true error. Modules that libtool's
 * -dlpreopen linked into a program are found through libltdl, which owns the table of them.
 *
 * Files are not opened with lt_dlopen. It offers nothing that is needed here, and it is not thread-safe: it calls
 * dlopen while the one lock that must protect libltdl is held, so a constructor that calls back while another thread
 * loads would deadlock between that lock and the C library's own. Without lt_dlopen, libltdl's searches, .la files and
 * environment variables never affect plugins either, and a load is a quarter faster (tests/bench/load).
 */
#include <config.h>

#include "loader/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <ltdl.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/name.h"
#include "loader/inside.h"
#include "loader/linker.h"

struct zp_module {
	void *dl; /* NULL: linked into the program */
	lt_dlhandle lt;
	char *path;
	const struct zpool_driver *driver; /* of a file: the module's own symbol, or NULL */
	const void *dynamic; /* of a file: the address of its dynamic section, which tells modules apart */
	size_t symbol_bytes;
	bool was_mapped;
	bool resident;
};

/*
 * The table of a program that libtool linked with -dlpreopen. Other programs have no table, and libltdl is not even
 * initialised.
 */
#pragma weak lt__PROGRAM__LTX_preloaded_symbols

/*
 * Guards every lt_* call. Other users of libltdl in the process do not take this lock, which cannot be changed from
 * here; libzpool only reads the table of preloaded modules.
 */
static pthread_mutex_t ltdl_lock = PTHREAD_MUTEX_INITIALIZER;

/*
 * Takes ltdl_lock and initialises libltdl, which counts its users. Returns -ENOENT if the program has no preloaded
 * modules.
 */
static int ltdl_enter(void)
{
	if (!lt__PROGRAM__LTX_preloaded_symbols)
		return -ENOENT;
	pthread_mutex_lock(&ltdl_lock);
	if (lt_dlinit() != 0) {
		pthread_mutex_unlock(&ltdl_lock);
		return -ENOMEM;
	}
	/*
	 * With this call a host need not use LTDL_SET_PRELOADED_SYMBOLS() before the first lt_dlinit() of the process.
	 * It is repeated every time, because libltdl forgets its tables when its last user is gone; a table that it
	 * already has is not added twice.
	 */
	if (lt_dlpreload(lt__PROGRAM__LTX_preloaded_symbols) != 0) {
		(void)lt_dlexit();
		pthread_mutex_unlock(&ltdl_lock);
		return -ENOMEM;
	}
	return 0;
}

/* Keeps the count of users, because an open module needs libltdl. */
static void ltdl_leave(void)
{
	pthread_mutex_unlock(&ltdl_lock);
}

static void ltdl_leave_and_uncount(void)
{
	(void)lt_dlexit();
	ltdl_leave();
}

static void *dl_open(const char *path, int flags)
{
	zp_loader_enter();
	void *dl = dlopen(path, flags);
	zp_loader_leave();
	return dl;
}

/*
 * Returns whether there is no room for the segments of a file of this size: they need memory, and each of them its own
 * mapping.
 */
static bool lacks_room(const char *path)
{
	enum { SEGMENTS = 8 };
	size_t page_bytes = (size_t)sysconf(_SC_PAGESIZE), bytes = (2 * SEGMENTS + 1) * page_bytes;
	struct stat st;

	if (stat(path, &st) == 0 && (size_t)st.st_size > bytes)
		bytes = (size_t)st.st_size;
	char *at = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (at == MAP_FAILED)
		return true;
	bool lacks = false;
	for (size_t i = 0; i < SEGMENTS && !lacks; i++)
		lacks = mprotect(at + (2 * i + 1) * page_bytes, page_bytes, PROT_READ | PROT_WRITE) != 0;
	(void)munmap(at, bytes);
	return lacks;
}

/*
 * dlopen() explains its failure in a text for people only, but it leaves the error of a system call or an allocation
 * that failed in errno, which was 0 before. Only when a segment cannot be mapped does the C library lose the error.
 */
static int dl_open_error(const char *path)
{
	int err = errno;

	if (err == ENOMEM || err == EMFILE || err == ENFILE)
		return -err;
	return lacks_room(path) ? -ENOMEM : -ENOEXEC;
}

static void dl_close(void *dl)
{
	zp_loader_enter();
	(void)dlclose(dl);
	zp_loader_leave();
}

static bool has_address(const struct dl_phdr_info *info, uintptr_t address)
{
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
		if (segment->p_type == PT_LOAD && address - (info->dlpi_addr + segment->p_vaddr) < segment->p_memsz)
			return true;
	}
	return false;
}

/* Returns nonzero if the address is in the program, which is the first object that the linker reports. */
static int is_in_program(struct dl_phdr_info *info, size_t size, void *address)
{
	(void)size;
	return has_address(info, (uintptr_t)address) ? 1 : -1;
}

/* Returns nonzero if the address is in this object, which ends the search. */
static int is_in_object(struct dl_phdr_info *info, size_t size, void *address)
{
	(void)size;
	return has_address(info, (uintptr_t)address);
}

/*
 * The library leaves pointers to its code in the process: the destructors of two thread keys, the fork handlers, and
 * the host table of every loaded plugin. The shared library is linked so that it stays in memory. The static library
 * may be part of a module that the program opens and closes, and must then keep that module in memory.
 */
__attribute__((constructor)) static void stay_in_memory(void)
{
	Dl_info self;

	if (dl_iterate_phdr(is_in_program, &ltdl_lock) == 1 || !dladdr(&ltdl_lock, &self) || !self.dli_fname)
		return;
	/* The reference is never released. A failure must not leave a message for the program's next dlerror(). */
	if (!dlopen(self.dli_fname, RTLD_NOW | RTLD_NOLOAD | RTLD_NODELETE))
		(void)dlerror();
}

/*
 * libltdl reports an error as text only. A module that is linked in must not seem absent for want of memory. The caller
 * has cleared the text of earlier errors.
 */
static int lt_open_error(void)
{
	const char *reason = lt_dlerror();

	return reason && strcmp(reason, "not enough memory") == 0 ? -ENOMEM : -ENOENT;
}

/* Restricts the search to preloaded modules, so that libltdl touches no file, whatever the name. */
static int lt_open_preloaded(const char *type, lt_dlhandle *lt)
{
	lt_dladvise advise;
	int err = 0;
	if (lt_dladvise_init(&advise) != 0)
		return -ENOMEM;
	(void)lt_dlerror();
	*lt = lt_dladvise_preload(&advise) == 0 ? lt_dlopenadvise(type, advise) : NULL;
	if (!*lt)
		err = lt_open_error();
	(void)lt_dladvise_destroy(&advise);
	return err;
}

/* Finds the driver's structure among the symbols of a module, which stand behind the module's own entry. */
static const struct zpool_driver *driver_in_table(const lt_dlsymlist *module, const char *type)
{
	size_t length = strlen(type);

	for (const lt_dlsymlist *symbol = module + 1; symbol->name && symbol->address; symbol++)
		if (strncmp(symbol->name, type, length) == 0 && strcmp(symbol->name + length, "_LTX_zpool_driver") == 0)
			return symbol->address;
	return NULL;
}

/*
 * Returns the entry of the next module, with its type, or NULL. The first entry of the table is that of the program. A
 * module is named like its file, such as zbud.a.
 */
static const lt_dlsymlist *next_module(const lt_dlsymlist *entry, char type[ZP_TYPE_BYTES])
{
	while (entry && entry->name && (++entry)->name)
		if (!entry->address && zp_type_parse(entry->name, strcspn(entry->name, "."), type))
			return entry;
	return NULL;
}

static bool is_linked_in(const char *type)
{
	const lt_dlsymlist *entry = lt__PROGRAM__LTX_preloaded_symbols;
	char found[ZP_TYPE_BYTES];

	while ((entry = next_module(entry, found)))
		if (strcmp(found, type) == 0)
			return true;
	return false;
}

int zp_module_open_preloaded(const char *type, struct zp_module **out)
{
	/* A plugin can then be loaded even if libltdl cannot be used. */
	if (!is_linked_in(type))
		return -ENOENT;
	struct zp_module *module = calloc(1, sizeof(*module));
	if (!module)
		return -ENOMEM;
	int err = ltdl_enter();
	if (err) {
		free(module);
		return err;
	}
	err = lt_open_preloaded(type, &module->lt);
	if (err) {
		ltdl_leave_and_uncount();
		free(module);
		return err;
	}
	ltdl_leave();
	*out = module;
	return 0;
}

/* libltdl first looks for <type>_LTX_zpool_driver, the symbol that a preloaded module exports. */
static const struct zpool_driver *preloaded_driver(lt_dlhandle lt)
{
	return lt_dlsym(lt, "zpool_driver");
}

/* A callback for dl_iterate_phdr(3) that checks whether an address lies in the object of this link map. */
struct place {
	uintptr_t address;
	const struct link_map *map;
};

static int is_inside(struct dl_phdr_info *info, size_t size, void *user)
{
	const struct place *place = user;
	(void)size;
	if (info->dlpi_addr != place->map->l_addr || !info->dlpi_name ||
	    strcmp(info->dlpi_name, place->map->l_name) != 0)
		return 0;
	return has_address(info, place->address);
}

static bool lies_in(const void *symbol, const struct link_map *map)
{
	struct place place = { (uintptr_t)symbol, map };
	return dl_iterate_phdr(is_inside, &place) != 0;
}

/* 0: unknown, as in C libraries other than glibc. */
static size_t size_of_symbol(const void *symbol)
{
#ifdef HAVE_DLADDR1
	const ElfW(Sym) *entry = NULL;
	Dl_info info;
	if (dladdr1(symbol, &info, (void **)&entry, RTLD_DL_SYMENT) && entry && info.dli_saddr == symbol)
		return entry->st_size;
#else
	(void)symbol;
#endif
	return 0;
}

/* dlsym also searches the libraries that the module depends on, and could find the symbol of another driver. */
static void find_driver(struct zp_module *module)
{
	void *symbol = dlsym(module->dl, "zpool_driver");
	struct link_map *own = NULL;

	if (dlinfo(module->dl, RTLD_DI_LINKMAP, &own) != 0)
		return;
	module->dynamic = own->l_ld;
	/* An object has the name by which it was mapped; later calls may have found it by others. */
	module->was_mapped = module->was_mapped || strcmp(own->l_name, module->path) != 0;
	if (!symbol || !lies_in(symbol, own))
		return;
	module->driver = symbol;
	module->symbol_bytes = size_of_symbol(symbol);
}

static void free_module(struct zp_module *module)
{
	free(module->path);
	free(module);
}

int zp_module_open(const char *path, struct zp_module **out, char **why)
{
	struct zp_module *module = calloc(1, sizeof(*module));
	*why = NULL;
	if (!module || !(module->path = strdup(path))) {
		free(module);
		return -ENOMEM;
	}
	module->was_mapped = zp_linker_has_mapped(path);
	struct zp_linker_call call = { .path = module->path, .maps = !module->was_mapped };
	int err = zp_linker_begin(&call, why);
	if (!err) {
		int saved_errno = errno;
		errno = 0;
		module->dl = dl_open(path, RTLD_NOW | RTLD_LOCAL);
		if (module->dl) {
			errno = saved_errno;
			/* Looking up a symbol takes the linker's lock too, so it belongs to the same call. */
			find_driver(module);
		} else {
			err = dl_open_error(path);
			const char *reason = dlerror();
			*why = strdup(reason ? reason : "the system gave no reason");
		}
		zp_linker_end(&call);
	}
	if (err)
		free_module(module);
	else
		*out = module;
	return err;
}

const struct zpool_driver *zp_module_driver(const struct zp_module *module, size_t *symbol_bytes)
{
	*symbol_bytes = module->symbol_bytes;
	if (module->dl)
		return module->driver;
	if (ltdl_enter() != 0)
		return NULL;
	const struct zpool_driver *driver = preloaded_driver(module->lt);
	ltdl_leave_and_uncount();
	return driver;
}

int zp_module_is_outdated(const struct zp_module *module, ino_t inode)
{
	const void *address = module->was_mapped ? module->dynamic : NULL;
	if (!address)
		return 0;
	FILE *maps = fopen("/proc/self/maps", "re");
	if (!maps)
		/* Without /proc this cannot be determined; a lack of descriptors or memory is temporary. */
		return errno == ENOENT || errno == EACCES ? 0 : -errno;
	unsigned long from, to, mapped_inode;
	bool outdated = false;
	char *line = NULL;
	size_t line_bytes = 0;

	errno = 0;
	while (getline(&line, &line_bytes, maps) > 0)
		if (sscanf(line, "%lx-%lx %*s %*s %*s %lu", &from, &to, &mapped_inode) == 3 &&
		    (uintptr_t)address >= from && (uintptr_t)address < to)
			outdated = mapped_inode != (unsigned long)inode;
	int err = feof(maps) ? 0 : errno == ENOMEM ? -ENOMEM : -EIO;
	free(line);
	fclose(maps);
	return err ? err : outdated;
}

void zp_module_make_resident(struct zp_module *module)
{
	struct zp_linker_call call = { .path = module->path };
	char *why;

	module->resident = true;
	if (!module->dl)
		return;
	/*
	 * Takes one more reference that is never released, so that the code also survives a dlclose by others. libzpool
	 * itself never closes it.
	 */
	if (zp_linker_begin(&call, &why) == 0) {
		(void)dl_open(module->path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
		zp_linker_end(&call);
	}
	free(why);
}

void zp_module_discard(struct zp_module *module)
{
	struct zp_linker_call call = { .path = module->path, .closes = true };
	char *why = NULL;

	if (!module->dl) {
		if (ltdl_enter() == 0) {
			(void)lt_dlclose(module->lt);
			(void)lt_dlexit();
			ltdl_leave_and_uncount();
		}
	} else if (zp_linker_begin(&call, &why) == 0) {
		/* Otherwise the code stays in memory, which is better than waiting forever. */
		dl_close(module->dl);
		zp_linker_end(&call);
	}
	free(why);
	free_module(module);
}

/*
 * Opens a module that another user of its file, or the linker itself, keeps in memory. The linker finds it by its name,
 * and so opens no file. If another thread closes the last handle meanwhile, the linker finds nothing, or whatever is at
 * the path now.
 */
static void *reopen(const struct zp_module *module)
{
	void *dl = dl_open(module->path, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
	struct link_map *found = NULL;

	if (!dl) {
		/* A failure must not leave a message for the program's next dlerror(). */
		(void)dlerror();
		return NULL;
	}
	if (dlinfo(dl, RTLD_DI_LINKMAP, &found) == 0 && found->l_ld == module->dynamic)
		return dl;
	dl_close(dl);
	return NULL;
}

int zp_module_close(struct zp_module *module, char **why)
{
	struct zp_linker_call call = { .path = module->path, .closes = true };

	*why = NULL;
	if (module->resident || !module->dl)
		return 0;
	int err = zp_linker_begin(&call, why);
	if (err)
		return err;
	dl_close(module->dl);
	/*
	 * The linker may keep the code for other reasons: NODELETE, unique C++ symbols, or another user of the file.
	 * An address of the module tells. Asked for the path of a module that is gone, the linker would open the file,
	 * which is forbidden after zpool_loading_disable(), and return another module if the file is a link to it now.
	 */
	module->dl = dl_iterate_phdr(is_in_object, (void *)(uintptr_t)module->dynamic) ? reopen(module) : NULL;
	zp_linker_end(&call);
	if (module->dl)
		return 0;
	free_module(module);
	return 1;
}

/* This reads the table itself, because lt_dlpreload_open() of libltdl 2.4.7 crashes where there is no memory. */
void zp_module_each_preloaded(int (*fn)(const char *type, const struct zpool_driver *driver, void *user), void *user)
{
	const lt_dlsymlist *entry = lt__PROGRAM__LTX_preloaded_symbols;
	char type[ZP_TYPE_BYTES];
	int ended = 0;

	while (!ended && (entry = next_module(entry, type))) {
		const struct zpool_driver *driver = driver_in_table(entry, type);
		if (driver)
			ended = fn(type, driver, user);
	}
}
