/* SPDX-License-Identifier: MIT
 *
 * shim_calls.c - the wrappers in starve.so, each of which replaces the function of the C library with its name
 */
#undef _FORTIFY_SOURCE
#include "config.h"

/* With this, the C library defines no inline functions, so that getline() can be wrapped like the others. */
#define __NO_INLINE__ 1

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fts.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/starvation/starve.h"

#pragma GCC visibility push(default)

/* Finds the function of this name that would have been called without starve.so. */
static void find_next(const char *name, void *function)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	memcpy(function, &found, sizeof(found));
}

#define NEXT(name)                                                                                                     \
	static __typeof__(&name) next_##name(void)                                                                     \
	{                                                                                                              \
		static __typeof__(&name) found;                                                                        \
                                                                                                                       \
		if (!found)                                                                                            \
			find_next(#name, &found);                                                                      \
		return found;                                                                                          \
	}

/* A wrapper: parameters with their types, and their names alone. */
#define WRAP(kind, result, failed, name, parameters, arguments)                                                        \
	NEXT(name)                                                                                                     \
	result name parameters                                                                                         \
	{                                                                                                              \
		return starve_fails(kind) ? (failed) : next_##name() arguments;                                        \
	}

/* The wrapper of a function that returns its error. */
#define WRAP_ERRNO(kind, name, parameters, arguments)                                                                  \
	NEXT(name)                                                                                                     \
	int name parameters                                                                                            \
	{                                                                                                              \
		int saved_errno = errno, err = starve_fails(kind) ? errno : 0;                                         \
                                                                                                                       \
		errno = saved_errno;                                                                                   \
		return err ? err : next_##name() arguments;                                                            \
	}

/* ---- blocks ---- */

/* dlsym() may allocate memory while it looks for the real malloc(). */
static _Alignas(16) char early[16 << 10];
static size_t early_used;
static __thread bool finding;

static bool is_early(const void *block)
{
	return (const char *)block >= early && (const char *)block < early + sizeof(early);
}

static void *early_take(size_t bytes)
{
	size_t start = (early_used + 15) & ~(size_t)15;

	if (bytes > sizeof(early) || start > sizeof(early) - bytes)
		return NULL;
	early_used = start + bytes;
	return early + start;
}

#define NEXT_OF_BLOCKS(name)                                                                                           \
	static __typeof__(&name) next_##name(void)                                                                     \
	{                                                                                                              \
		static __typeof__(&name) found;                                                                        \
                                                                                                                       \
		if (!found) {                                                                                          \
			finding = true;                                                                                \
			find_next(#name, &found);                                                                      \
			finding = false;                                                                               \
		}                                                                                                      \
		return found;                                                                                          \
	}

NEXT_OF_BLOCKS(malloc)
NEXT_OF_BLOCKS(calloc)
NEXT_OF_BLOCKS(realloc)
NEXT_OF_BLOCKS(aligned_alloc)
NEXT_OF_BLOCKS(free)

static void *noted(void *block, size_t bytes, const void *caller)
{
	if (block)
		starve_note_block(block, bytes, caller);
	return block;
}

/* fts_open() of glibc does not check the result of an allocation. */
static __thread bool in_fts_open;

NEXT(fts_open)
FTS *fts_open(char *const *paths, int options, int (*compare)(const FTSENT **, const FTSENT **))
{
	FTS *opened;

	in_fts_open = true;
	opened = next_fts_open()(paths, options, compare);
	in_fts_open = false;
	return opened;
}

static bool malloc_fails(void)
{
	return !in_fts_open && starve_fails(STARVE_MALLOC);
}

void *malloc(size_t bytes)
{
	if (finding)
		return early_take(bytes);
	return malloc_fails() ? NULL : noted(next_malloc()(bytes), bytes, __builtin_return_address(0));
}

void *calloc(size_t count, size_t bytes)
{
	if (finding)
		return early_take(count * bytes);
	return malloc_fails() ? NULL : noted(next_calloc()(count, bytes), count * bytes, __builtin_return_address(0));
}

void *realloc(void *block, size_t bytes)
{
	void *moved;

	if (is_early(block))
		abort();
	if (malloc_fails())
		return NULL;
	/* The old address is removed first, because another thread may get it as soon as it is free. */
	if (block)
		starve_forget_block(block);
	moved = next_realloc()(block, bytes);
	return noted(moved, bytes, __builtin_return_address(0));
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
	return malloc_fails() ? NULL
			      : noted(next_aligned_alloc()(alignment, bytes), bytes, __builtin_return_address(0));
}

void *memalign(size_t alignment, size_t bytes);
void *memalign(size_t alignment, size_t bytes)
{
	return malloc_fails() ? NULL
			      : noted(next_aligned_alloc()(alignment, bytes), bytes, __builtin_return_address(0));
}

int posix_memalign(void **block, size_t alignment, size_t bytes)
{
	int saved_errno = errno;
	void *made = malloc_fails() ? NULL : next_aligned_alloc()(alignment, bytes);

	errno = saved_errno;
	if (!made)
		return ENOMEM;
	*block = noted(made, bytes, __builtin_return_address(0));
	return 0;
}

void free(void *block)
{
	if (!block || is_early(block))
		return;
	starve_forget_block(block);
	next_free()(block);
}

/* ---- mappings ---- */

static int64_t whole_pages(size_t bytes)
{
	return (int64_t)((bytes + 4095) & ~(size_t)4095);
}

static void *noted_mapping(void *start, size_t bytes)
{
	if (start != MAP_FAILED)
		starve_note_mapping(whole_pages(bytes));
	return start;
}

NEXT(mmap)
void *mmap(void *address, size_t bytes, int protection, int flags, int fd, off_t offset)
{
	return starve_fails(STARVE_MMAP)
		       ? MAP_FAILED
		       : noted_mapping(next_mmap()(address, bytes, protection, flags, fd, offset), bytes);
}

void *mmap64(void *address, size_t bytes, int protection, int flags, int fd, off64_t offset)
{
	return starve_fails(STARVE_MMAP)
		       ? MAP_FAILED
		       : noted_mapping(next_mmap()(address, bytes, protection, flags, fd, (off_t)offset), bytes);
}

NEXT(mremap)
void *mremap(void *address, size_t bytes, size_t new_bytes, int flags, ...)
{
	void *start, *wanted;
	va_list args;

	va_start(args, flags);
	wanted = flags & MREMAP_FIXED ? va_arg(args, void *) : NULL;
	va_end(args);
	if (starve_fails(STARVE_MMAP))
		return MAP_FAILED;
	start = next_mremap()(address, bytes, new_bytes, flags, wanted);
	if (start != MAP_FAILED)
		starve_note_mapping(whole_pages(new_bytes) - whole_pages(bytes));
	return start;
}

NEXT(munmap)
int munmap(void *address, size_t bytes)
{
	int err = starve_fails(STARVE_MUNMAP) ? -1 : next_munmap()(address, bytes);

	if (!err)
		starve_note_mapping(-whole_pages(bytes));
	return err;
}

WRAP(STARVE_MPROTECT, int, -1, mprotect, (void *address, size_t bytes, int protection), (address, bytes, protection))
WRAP(STARVE_MADVISE, int, -1, madvise, (void *address, size_t bytes, int advice), (address, bytes, advice))
WRAP(STARVE_MLOCK, int, -1, mlock, (const void *address, size_t bytes), (address, bytes))
WRAP(STARVE_MLOCK, int, -1, mlock2, (const void *address, size_t bytes, unsigned int flags), (address, bytes, flags))
WRAP(STARVE_MLOCK, int, -1, munlock, (const void *address, size_t bytes), (address, bytes))

NEXT(syscall)
long syscall(long number, ...)
{
	long a[6];
	va_list args;

	va_start(args, number);
	for (unsigned int i = 0; i < 6; i++)
		a[i] = va_arg(args, long);
	va_end(args);
	if (number == SYS_membarrier && starve_fails(STARVE_MEMBARRIER))
		return -1;
	return next_syscall()(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

/* ---- files ---- */

static mode_t mode_of(int flags, va_list args)
{
	return flags & (O_CREAT | O_TMPFILE) ? va_arg(args, mode_t) : 0;
}

#define WRAP_OPEN(name)                                                                                                \
	NEXT(name)                                                                                                     \
	int name(const char *path, int flags, ...)                                                                     \
	{                                                                                                              \
		va_list args;                                                                                          \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(args, flags);                                                                                 \
		mode = mode_of(flags, args);                                                                           \
		va_end(args);                                                                                          \
		return starve_fails(STARVE_OPEN) ? -1 : next_##name()(path, flags, mode);                              \
	}
WRAP_OPEN(open)
WRAP_OPEN(open64)

#define WRAP_OPENAT(name)                                                                                              \
	NEXT(name)                                                                                                     \
	int name(int directory, const char *path, int flags, ...)                                                      \
	{                                                                                                              \
		va_list args;                                                                                          \
		mode_t mode;                                                                                           \
                                                                                                                       \
		va_start(args, flags);                                                                                 \
		mode = mode_of(flags, args);                                                                           \
		va_end(args);                                                                                          \
		return starve_fails(STARVE_OPEN) ? -1 : next_##name()(directory, path, flags, mode);                   \
	}
WRAP_OPENAT(openat)
WRAP_OPENAT(openat64)

/* Callers that were compiled with _FORTIFY_SOURCE use these names. */
int __open_2(const char *path, int flags);
int __open64_2(const char *path, int flags);
int __openat_2(int directory, const char *path, int flags);
int __openat64_2(int directory, const char *path, int flags);
ssize_t __read_chk(int fd, void *to, size_t bytes, size_t room);
ssize_t __pread_chk(int fd, void *to, size_t bytes, off_t offset, size_t room);
ssize_t __pread64_chk(int fd, void *to, size_t bytes, off64_t offset, size_t room);
ssize_t __readlink_chk(const char *path, char *to, size_t bytes, size_t room);
char *__realpath_chk(const char *path, char *to, size_t room);
WRAP(STARVE_OPEN, int, -1, __open_2, (const char *path, int flags), (path, flags))
WRAP(STARVE_OPEN, int, -1, __open64_2, (const char *path, int flags), (path, flags))
WRAP(STARVE_OPEN, int, -1, __openat_2, (int directory, const char *path, int flags), (directory, path, flags))
WRAP(STARVE_OPEN, int, -1, __openat64_2, (int directory, const char *path, int flags), (directory, path, flags))
WRAP(STARVE_READ, ssize_t, -1, __read_chk, (int fd, void *to, size_t bytes, size_t room), (fd, to, bytes, room))
WRAP(STARVE_READ, ssize_t, -1, __pread_chk, (int fd, void *to, size_t bytes, off_t offset, size_t room),
     (fd, to, bytes, offset, room))
WRAP(STARVE_READ, ssize_t, -1, __pread64_chk, (int fd, void *to, size_t bytes, off64_t offset, size_t room),
     (fd, to, bytes, offset, room))
WRAP(STARVE_READ, ssize_t, -1, __readlink_chk, (const char *path, char *to, size_t bytes, size_t room),
     (path, to, bytes, room))
WRAP(STARVE_STAT, char *, NULL, __realpath_chk, (const char *path, char *to, size_t room), (path, to, room))

WRAP(STARVE_OPEN, FILE *, NULL, fopen, (const char *path, const char *mode), (path, mode))
WRAP(STARVE_OPEN, FILE *, NULL, fopen64, (const char *path, const char *mode), (path, mode))
WRAP(STARVE_OPEN, FILE *, NULL, fdopen, (int fd, const char *mode), (fd, mode))
WRAP(STARVE_OPEN, int, -1, dup, (int fd), (fd))
WRAP(STARVE_OPEN, int, -1, pipe, (int fds[2]), (fds))
WRAP(STARVE_OPEN, int, -1, pipe2, (int fds[2], int flags), (fds, flags))

/* On Linux, adding 1 to such a counter never fails, so this write(2) does not. */
static _Atomic int counter_fd = -1;
NEXT(eventfd)
int eventfd(unsigned int count, int flags)
{
	if (starve_fails(STARVE_OPEN))
		return -1;
	int fd = next_eventfd()(count, flags);
	counter_fd = fd;
	return fd;
}

WRAP(STARVE_OPEN, int, -1, memfd_create, (const char *name, unsigned int flags), (name, flags))
WRAP(STARVE_OPEN, int, -1, mkstemp, (char *path), (path))
WRAP(STARVE_OPEN, int, -1, mkostemp, (char *path, int flags), (path, flags))
WRAP(STARVE_OPENDIR, DIR *, NULL, opendir, (const char *path), (path))
WRAP(STARVE_OPENDIR, DIR *, NULL, fdopendir, (int fd), (fd))
WRAP(STARVE_READDIR, struct dirent *, NULL, readdir, (DIR * dir), (dir))

#define WRAP_FCNTL(name)                                                                                               \
	NEXT(name)                                                                                                     \
	int name(int fd, int command, ...)                                                                             \
	{                                                                                                              \
		va_list args;                                                                                          \
		long argument;                                                                                         \
                                                                                                                       \
		va_start(args, command);                                                                               \
		argument = va_arg(args, long);                                                                         \
		va_end(args);                                                                                          \
		if ((command == F_DUPFD || command == F_DUPFD_CLOEXEC) && starve_fails(STARVE_OPEN))                   \
			return -1;                                                                                     \
		return next_##name()(fd, command, argument);                                                           \
	}
WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)

WRAP(STARVE_READ, ssize_t, -1, read, (int fd, void *to, size_t bytes), (fd, to, bytes))
WRAP(STARVE_READ, ssize_t, -1, pread, (int fd, void *to, size_t bytes, off_t offset), (fd, to, bytes, offset))
WRAP(STARVE_READ, ssize_t, -1, pread64, (int fd, void *to, size_t bytes, off64_t offset), (fd, to, bytes, offset))
WRAP(STARVE_READ, ssize_t, -1, readlink, (const char *path, char *to, size_t bytes), (path, to, bytes))
WRAP(STARVE_READ, ssize_t, -1, getxattr, (const char *path, const char *name, void *to, size_t bytes),
     (path, name, to, bytes))
WRAP(STARVE_READ, ssize_t, -1, lgetxattr, (const char *path, const char *name, void *to, size_t bytes),
     (path, name, to, bytes))
WRAP(STARVE_READ, ssize_t, -1, fgetxattr, (int fd, const char *name, void *to, size_t bytes), (fd, name, to, bytes))
NEXT(write)
ssize_t write(int fd, const void *from, size_t bytes)
{
	return fd != counter_fd && starve_fails(STARVE_WRITE) ? -1 : next_write()(fd, from, bytes);
}
WRAP(STARVE_WRITE, ssize_t, -1, pwrite, (int fd, const void *from, size_t bytes, off_t offset),
     (fd, from, bytes, offset))
WRAP(STARVE_WRITE, ssize_t, -1, pwrite64, (int fd, const void *from, size_t bytes, off64_t offset),
     (fd, from, bytes, offset))

/* Only standard output counts. As in the kernel, it is closed even if this fails. */
NEXT(close)
int close(int fd)
{
	bool fails = fd == STDOUT_FILENO && starve_fails(STARVE_CLOSE);
	int error = errno, status = next_close()(fd);

	if (!fails)
		return status;
	errno = error;
	return -1;
}

WRAP(STARVE_WRITE, int, -1, ftruncate, (int fd, off_t bytes), (fd, bytes))
WRAP(STARVE_WRITE, int, -1, fallocate, (int fd, int mode, off_t offset, off_t bytes), (fd, mode, offset, bytes))
WRAP(STARVE_SYNC, int, -1, fsync, (int fd), (fd))
WRAP(STARVE_SYNC, int, -1, fdatasync, (int fd), (fd))
WRAP(STARVE_STAT, int, -1, fstat, (int fd, struct stat *st), (fd, st))
WRAP(STARVE_STAT, int, -1, stat, (const char *path, struct stat *st), (path, st))
WRAP(STARVE_STAT, int, -1, lstat, (const char *path, struct stat *st), (path, st))
WRAP(STARVE_STAT, int, -1, fstatat, (int directory, const char *path, struct stat *st, int flags),
     (directory, path, st, flags))
WRAP(STARVE_STAT, char *, NULL, realpath, (const char *path, char *to), (path, to))

/* If a stream cannot be read, the result is as at the end of the file, but ferror() is true. */
static bool stream_fails(FILE *stream)
{
	if (!starve_fails(STARVE_READ))
		return false;
#ifdef __GLIBC__
	stream->_flags |= 0x20; /* _IO_ERR_SEEN */
#endif
	return true;
}

char *__fgets_chk(char *to, size_t room, int bytes, FILE *stream);
#define WRAP_STREAM(result, failed, name, parameters, arguments)                                                       \
	NEXT(name)                                                                                                     \
	result name parameters                                                                                         \
	{                                                                                                              \
		return stream_fails(stream) ? (failed) : next_##name() arguments;                                      \
	}
WRAP_STREAM(ssize_t, -1, getline, (char **line, size_t *room, FILE *stream), (line, room, stream))
WRAP_STREAM(ssize_t, -1, __getdelim, (char **line, size_t *room, int delimiter, FILE *stream),
	    (line, room, delimiter, stream))
WRAP_STREAM(char *, NULL, fgets, (char *to, int bytes, FILE *stream), (to, bytes, stream))
WRAP_STREAM(char *, NULL, __fgets_chk, (char *to, size_t room, int bytes, FILE *stream), (to, room, bytes, stream))

/* ---- other calls ---- */

WRAP(STARVE_GETRANDOM, ssize_t, -1, getrandom, (void *to, size_t bytes, unsigned int flags), (to, bytes, flags))
WRAP(STARVE_FORK, pid_t, -1, fork, (void), ())
WRAP_ERRNO(STARVE_THREAD, pthread_create,
	   (pthread_t * thread, const pthread_attr_t *attributes, void *(*run)(void *), void *argument),
	   (thread, attributes, run, argument))
WRAP_ERRNO(STARVE_KEY, pthread_key_create, (pthread_key_t * key, void (*destroy)(void *)), (key, destroy))
WRAP_ERRNO(STARVE_KEY, pthread_getattr_np, (pthread_t thread, pthread_attr_t *attributes), (thread, attributes))

/* The C library needs memory for the first value that a thread gives a key, and for no later one. */
NEXT(pthread_setspecific)
int pthread_setspecific(pthread_key_t key, const void *value)
{
	static __thread uint64_t keys;
	uint64_t bit = UINT64_C(1) << key % 64;
	bool is_first = value && !(keys & bit);
	int saved_errno = errno, err = is_first && starve_fails(STARVE_KEY) ? ENOMEM : 0;

	errno = saved_errno;
	if (err)
		return err;
	keys |= value ? bit : 0;
	return next_pthread_setspecific()(key, value);
}

#ifdef ZPOOL_COVERAGE
/*
 * GCC's runtime writes its counters when a process ends or unloads a module, and crashes if it gets no memory for that.
 * It begins by asking for these variables. Modules stay loaded, so that this happens only at the end.
 */
NEXT(getenv)
char *getenv(const char *name)
{
	if (strncmp(name, "GCOV_", 5) == 0)
		starve_end();
	return next_getenv()(name);
}

NEXT(dlclose)
int dlclose(void *handle)
{
	return starve_is_controlled() ? 0 : next_dlclose()(handle);
}
#endif

#pragma GCC visibility pop
