/* SPDX-License-Identifier: MIT
 *
 * trust_fixture.h - a directory with a plugin's file, and checks whether the loader trusts paths in it
 */
#ifndef ZP_TESTS_TRUST_FIXTURE_H
#define ZP_TESTS_TRUST_FIXTURE_H 1

#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loader/trust.h"
#include "tests/unit/run.h"
#include "tests/unit/scratch.h"

static struct zp_trust trust;
static char resolved[PATH_MAX], why[PATH_MAX + 160];

/* The checks are made for the user who runs the test, or for an ordinary user if that is root. */
static void start(void)
{
	trust = (struct zp_trust){ .euid = geteuid() ? geteuid() : 4242 };
	scratch_make();
	scratch_directory("d", 0755);
	scratch_file("d/x.so", 0644, "x", 1);
}

static void finish(void)
{
	scratch_remove();
}

static void trusts(const char *path, const char *expected)
{
	why[0] = '\0';
	int err = zp_trust_resolve(&trust, path, resolved, why, sizeof(why));
	ck_assert_msg(err == 0, "%s: %d, %s", path, err, why);
	ck_assert_str_eq(resolved, expected);
}

static void refuses(const char *path, int err, const char *reason)
{
	why[0] = '\0';
	ck_assert_int_eq(zp_trust_resolve(&trust, path, resolved, why, sizeof(why)), -err);
	assert_contains(why, reason);
}

static void mode(const char *entry, mode_t bits)
{
	ck_assert_int_eq(chmod(scratch_path(entry), bits), 0);
}

#endif
