/* SPDX-License-Identifier: MIT
 *
 * namespaces.c - plugins are loaded in user namespaces with different maps of users
 *
 * tests/unit/loader/trust_hidden.c tests the rules; here a program in a real namespace loads a real plugin.
 */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <zpool.h>

#include "surroundings.h"

enum { OTHER_USER = 12345 };

static const char *const hidden = "no mapping in this user namespace";

static void install(void)
{
	surroundings_install("zbud", "zbud.so");
	CHECK(zpool_set_plugin_path(scratch_path("")) == 0, "%s", zpool_last_error());
}

/* Returns "INNER OUTER 1", where OUTER is the user who runs the test. */
static const char *map_self_to(unsigned long inner)
{
	static char map[64];

	(void)snprintf(map, sizeof(map), "%lu %lu 1", inner, (unsigned long)geteuid());
	return map;
}

/* The root of the system owns "/". Where only another user is mapped, that owner is unknown. */
static void expect_system_roots_rule(bool is_root)
{
	if (is_root)
		surroundings_expect_works("zbud");
	else
		surroundings_expect_refused("zbud", EPERM, hidden);
}

static int load_as_mapped_root(void)
{
	bool is_root = geteuid() == 0;

	install();
	surroundings_enter_users(map_self_to(0));
	CHECK(geteuid() == 0, "the user has the number %lu", (unsigned long)geteuid());
	expect_system_roots_rule(is_root);
	return 0;
}

START_TEST(own_plugin_works_where_the_user_is_mapped_to_root)
{
	surroundings_run(load_as_mapped_root);
}
END_TEST

static int load_as_mapped_user(void)
{
	bool is_root = geteuid() == 0;

	install();
	surroundings_enter_users(map_self_to(1000));
	CHECK(geteuid() == 1000, "the user has the number %lu", (unsigned long)geteuid());
	expect_system_roots_rule(is_root);
	return 0;
}

START_TEST(own_plugin_works_where_the_user_is_mapped_to_another_number)
{
	surroundings_run(load_as_mapped_user);
}
END_TEST

static int load_without_a_map(void)
{
	bool is_root = geteuid() == 0;

	install();
	surroundings_enter_users(NULL);
	expect_system_roots_rule(is_root);
	return 0;
}

START_TEST(own_plugin_works_where_nobody_is_mapped)
{
	surroundings_run(load_without_a_map);
}
END_TEST

static void give_away(const char *entry)
{
	if (geteuid() != 0)
		SKIP("only root can give files away");
	CHECK(chown(scratch_path(entry), OTHER_USER, OTHER_USER) == 0, "%s", strerror(errno));
}

static int load_from_unmapped_user(void)
{
	install();
	surroundings_install_bait("zbud.so");
	give_away("zbud.so");
	surroundings_enter_users(map_self_to(0));
	surroundings_expect_refused("zbud", EPERM, hidden);
	return 0;
}

static int load_from_mapped_user(void)
{
	install();
	surroundings_install_bait("zbud.so");
	give_away("zbud.so");
	surroundings_enter_users("0 0 4294967295");
	surroundings_expect_refused("zbud", EPERM, "belongs to user 12345, who is neither root nor you");
	return 0;
}

static int load_from_unmapped_users_directory(void)
{
	scratch_directory("theirs", 0755);
	surroundings_install_bait("theirs/zbud.so");
	give_away("theirs");
	CHECK(zpool_set_plugin_path(scratch_path("theirs")) == 0, "%s", zpool_last_error());
	surroundings_enter_users(map_self_to(0));
	surroundings_expect_refused("zbud", EPERM, hidden);
	return 0;
}

START_TEST(plugin_of_another_user_is_refused_in_every_namespace)
{
	surroundings_run(load_from_unmapped_user);
	surroundings_run(load_from_mapped_user);
	surroundings_run(load_from_unmapped_users_directory);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		own_plugin_works_where_the_user_is_mapped_to_root,
		own_plugin_works_where_the_user_is_mapped_to_another_number,
		own_plugin_works_where_nobody_is_mapped,
		plugin_of_another_user_is_refused_in_every_namespace,
	};

	return UNIT_RUN("hostile: user namespaces", tests);
}
