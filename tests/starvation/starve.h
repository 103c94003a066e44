/* SPDX-License-Identifier: MIT
 *
 * starve.h - the control of starve.so, which makes a chosen call of the C library fail
 *
 * The shared object starve.so is loaded with LD_PRELOAD.  A program finds its control with dlsym(RTLD_DEFAULT,
 * "starve_control"); any other program is controlled by the environment:
 *
 *   STARVE_KIND=malloc STARVE_NTH=17   the 17th call of this kind fails, counted from the start of main()
 *   STARVE_ON=1                        and all later ones
 *   STARVE_COUNTS=FILE                 at its end, the process appends to the file how often it made each kind of call
 */
#ifndef TESTS_STARVATION_STARVE_H
#define TESTS_STARVATION_STARVE_H 1

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The kinds of calls: a name and the error that the call fails with. */
#define STARVE_KINDS(X)                                                                                                \
	X(MALLOC, "malloc", ENOMEM)                                                                                    \
	X(MMAP, "mmap", ENOMEM)                                                                                        \
	X(MUNMAP, "munmap", ENOMEM)                                                                                    \
	X(MPROTECT, "mprotect", ENOMEM)                                                                                \
	X(MADVISE, "madvise", ENOMEM)                                                                                  \
	X(MLOCK, "mlock", ENOMEM)                                                                                      \
	X(MEMBARRIER, "membarrier", EPERM)                                                                             \
	X(OPEN, "open", EMFILE)                                                                                        \
	X(OPENDIR, "opendir", EMFILE)                                                                                  \
	X(READDIR, "readdir", EIO)                                                                                     \
	X(READ, "read", EIO)                                                                                           \
	X(WRITE, "write", ENOSPC)                                                                                      \
	X(SYNC, "fsync", EIO)                                                                                          \
	X(STAT, "fstat", ENOMEM)                                                                                       \
	X(GETRANDOM, "getrandom", ENOSYS)                                                                              \
	X(THREAD, "pthread_create", EAGAIN)                                                                            \
	X(KEY, "pthread_key_create", EAGAIN)                                                                           \
	X(FORK, "fork", EAGAIN)                                                                                        \
	X(CLOSE, "close", ENOSPC)

/* The dynamic linker takes these bytes in LD_PRELOAD for the end of a path. */
#define STARVE_PATH_ENDS " :"
#define STARVE_PATH_SKIPPED "skipped: LD_PRELOAD cannot name a library in a path with a blank or a colon\n"

#define STARVE_ENUM(id, name, error) STARVE_##id,
enum starve_kind { STARVE_KINDS(STARVE_ENUM) STARVE_KIND_COUNT };
#undef STARVE_ENUM

/* What the process has allocated since starve_control->track() and not released. */
struct starve_held {
	uint64_t blocks; /* of malloc() and its relatives */
	uint64_t block_bytes;
	int64_t mapped_bytes; /* of mmap() minus munmap() */
};

/*
 * arm       starts to count calls of every thread; the nth one of the kind fails, and with `on` all later ones.  With
 *           nth 0, calls are only counted.
 * disarm    stops counting and failing, and returns true if calls were being counted
 * resume    continues after a disarm, if its argument is true
 * failures  returns how many calls failed since the last arm
 * calls     returns how many calls of a kind were counted since the last arm
 * error     returns the errno that a kind of call fails with
 * name      returns its name
 * track     forgets all blocks and mappings, and records those that are allocated from here on
 * held      reports what was allocated since track() and not freed
 * each      visits the blocks that held() counts; caller is the address that the allocating call returns to
 */
struct starve_control {
	void (*arm)(enum starve_kind kind, uint64_t nth, bool on);
	bool (*disarm)(void);
	void (*resume)(bool armed);
	uint64_t (*failures)(void);
	uint64_t (*calls)(enum starve_kind kind);
	int (*error)(enum starve_kind kind);
	const char *(*name)(enum starve_kind kind);
	void (*track)(void);
	struct starve_held (*held)(void);
	void (*each)(void (*fn)(const void *block, size_t bytes, const void *caller));
};

/* The wrappers of starve.so use these.  The first sets errno and returns true if the call has to fail. */
bool starve_fails(enum starve_kind kind);
void starve_note_block(const void *block, size_t bytes, const void *caller);
void starve_forget_block(const void *block);
void starve_note_mapping(int64_t bytes);

/* Returns true if the environment, and not the program, has chosen the calls that fail. */
bool starve_is_controlled(void);

/* If the environment has chosen the calls that fail, no later call fails. */
void starve_end(void);

#endif
