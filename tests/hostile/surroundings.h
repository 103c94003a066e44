/* SPDX-License-Identifier: MIT
 *
 * surroundings.h - what the tests of hostile surroundings share
 *
 * Each test works in a child process, which may enter namespaces of its own; nothing outside of it changes.  The child
 * works in the scratch directory of scratch.h.  All functions end the child with a reason if something cannot be done
 * here.
 */
#ifndef HOSTILE_SURROUNDINGS_H
#define HOSTILE_SURROUNDINGS_H 1

#include <stdbool.h>
#include <stddef.h>

#include "tests/unit/child.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

#define CHECK(condition, ...) CHILD_CHECK("hostile", condition, __VA_ARGS__)
#define SKIP(...) CHILD_SKIP("this test", __VA_ARGS__)

/* Runs a test in a child, with a scratch directory that is removed afterwards. */
void surroundings_run(int (*test)(void));

/* Copies a plugin of this build, such as "zbud", to scratch_path(entry). */
void surroundings_install(const char *type, const char *entry);

/* Copies the module bait.so, which ends the process with status BAIT_STATUS when its code runs. */
void surroundings_install_bait(const char *entry);
enum { BAIT_STATUS = 66 };

/* Makes a pool, stores an object, reads it and destroys the pool; otherwise ends the child. */
void surroundings_expect_works(const char *spec);

/* A pool must be refused with this error, and with a message that has this text. */
void surroundings_expect_refused(const char *spec, int err, const char *text);

/*
 * Enters a mount namespace, in which the child may mount what it likes.  A process without privileges enters a user
 * namespace as well, in which it seems to be root and the owners of most files are unknown.
 */
void surroundings_enter_mounts(void);
bool surroundings_owners_are_known(void);

/* Enters a user namespace with this map, such as "0 1000 1", or with none if that is NULL. */
void surroundings_enter_users(const char *map);

/* Mounts a file system in memory at scratch_path(entry), with flags of mount(2) and options such as "size=64k". */
void surroundings_mount_memory(const char *entry, unsigned long flags, const char *options);

#endif
