/* SPDX-License-Identifier: MIT
 *
 * swaps.c - links, files and directories change while plugins are searched, judged, loaded and listed
 *
 * One thread changes them in a loop, and another one lists them. The main thread loads and unloads the driver. Each
 * load must work or fail with an error that the change explains; code that is not trusted must never run, and when the
 * changes have ended, the driver must work. Code that is not trusted is the module bait.so, which ends the process.
 */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <zpool.h>

#include "surroundings.h"

/* ZPOOL_TEST_LOADS in the environment sets another number of loads, without a limit of time. */
enum { LOADS = 150, CPU_MS_MAX = 150 };

static char plugins[PATH_MAX], link_path[PATH_MAX], spare[PATH_MAX], good[PATH_MAX], bad[PATH_MAX];
static atomic_bool ended;
static atomic_uint changes, lists;

static void remember(char to[PATH_MAX], const char *entry)
{
	(void)snprintf(to, PATH_MAX, "%s", scratch_path(entry));
}

static double cpu_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* ------------------------------------------------------------------------------------------------------------------
 * The changes. Each is made without a moment in which the path does not exist, unless that is what it tests.
 */

static void point_link(const char *target)
{
	(void)unlink(spare);
	CHECK(symlink(target, spare) == 0 && rename(spare, link_path) == 0, "%s", strerror(errno));
}

/* A link leads to a trusted file or directory, and to one that is not trusted, by turns. */
static void swap_link(unsigned int turn)
{
	point_link(turn % 2 ? bad : good);
}

static void put_file(const char *source)
{
	(void)unlink(spare);
	CHECK(link(source, spare) == 0 && rename(spare, link_path) == 0, "%s", strerror(errno));
}

/* A file is replaced by another one, both of them trusted. */
static void swap_file(unsigned int turn)
{
	put_file(turn % 2 ? bad : good);
}

static void make_file_vanish(unsigned int turn)
{
	if (turn % 2)
		CHECK(unlink(link_path) == 0, "%s", strerror(errno));
	else
		put_file(good);
}

static void make_directory_vanish(unsigned int turn)
{
	const char *from = turn % 2 ? plugins : spare;

	CHECK(rename(from, turn % 2 ? spare : plugins) == 0, "%s", strerror(errno));
}

static void (*change)(unsigned int turn);

static void *change_all_the_time(void *unused)
{
	(void)unused;
	for (unsigned int turn = 1; !ended || turn % 2 == 0; turn++) {
		change(turn);
		changes++;
		/* A thread that wakes up runs at once, which may be in the middle of a load. */
		(void)nanosleep(&(struct timespec){ 0, 10000 + turn * 7919 % 130000 }, NULL);
	}
	return NULL;
}

static int visit(const struct zpool_driver_info *info, void *user)
{
	(void)info, (void)user;
	return 0;
}

static void *list_all_the_time(void *unused)
{
	const struct timespec pause = { 0, 2000000 };

	(void)unused;
	while (!ended) {
		int err = zpool_each_driver(visit, NULL);

		CHECK(err == 0 || err == -ENOENT || err == -ENOTDIR || err == -EPERM, "zpool_each_driver: %d: %s", err,
		      zpool_last_error());
		lists++;
		(void)nanosleep(&pause, NULL);
	}
	return NULL;
}

/* ------------------------------------------------------------------------------------------------------------------
 * Loads
 */

static bool is_explained(int err)
{
	return err == EPERM || err == ENOENT || err == ENOTDIR || err == EAGAIN || err == EBUSY || err == ENOEXEC;
}

static void load_meanwhile(void (*changer)(unsigned int turn))
{
	double began = cpu_ms();
	const char *given = getenv("ZPOOL_TEST_LOADS");
	unsigned int loads = given ? (unsigned int)strtoul(given, NULL, 10) : LOADS, worked = 0, refused = 0;
	pthread_t threads[2];

	change = changer;
	CHECK(pthread_create(&threads[0], NULL, change_all_the_time, NULL) == 0, "no thread");
	CHECK(pthread_create(&threads[1], NULL, list_all_the_time, NULL) == 0, "no thread");
	for (unsigned int i = 0; i < loads || (!given && changes < LOADS); i++) {
		if (!given && cpu_ms() - began > CPU_MS_MAX)
			break;
		struct zpool *pool = zpool_create_pool("zbud", ZPOOL_GFP_KERNEL, NULL);
		unsigned long handle;

		worked += pool != NULL;
		refused += pool == NULL;
		CHECK(pool || is_explained(errno), "errno %d: %s", errno, zpool_last_error());
		CHECK(!pool || zpool_malloc(pool, 100, ZPOOL_GFP_KERNEL, &handle) == 0, "%s", zpool_last_error());
		zpool_destroy_pool(pool);
		CHECK(!pool || zpool_unload_driver("zbud") == 0, "%s", zpool_last_error());
	}
	ended = true;
	(void)pthread_join(threads[0], NULL);
	(void)pthread_join(threads[1], NULL);
	printf("# %u loads worked, %u were refused, %u changes, %u lists\n", worked, refused, atomic_load(&changes),
	       atomic_load(&lists));
	(void)fflush(stdout);
	surroundings_expect_works("zbud");
}

static void prepare(void)
{
	scratch_directory("plugins", 0755);
	remember(plugins, "plugins");
	remember(link_path, "plugins/zbud.so");
	remember(spare, "plugins/spare");
	CHECK(zpool_set_plugin_path(plugins) == 0, "%s", zpool_last_error());
}

/* Without this, the tests below would prove nothing. */
static int load_trusted_bait(void)
{
	prepare();
	surroundings_install_bait("plugins/zbud.so");
	(void)zpool_create_pool("zbud", ZPOOL_GFP_KERNEL, NULL);
	return 0;
}

START_TEST(bait_ends_a_process_that_loads_it)
{
	if (!unit_may_fork())
		return;
	scratch_make();
	int status = unit_in_child(load_trusted_bait);
	scratch_remove();
	ck_assert_msg(status == BAIT_STATUS || status == CHILD_SKIPPED, "the child ended with status %d", status);
}
END_TEST

static int swap_links_to_files(void)
{
	prepare();
	scratch_directory("good", 0755);
	scratch_directory("open", 0777);
	surroundings_install("zbud", "good/zbud.so");
	surroundings_install_bait("open/zbud.so");
	remember(good, "good/zbud.so");
	remember(bad, "open/zbud.so");
	point_link(good);
	load_meanwhile(swap_link);
	return 0;
}

static int swap_links_to_writable_files(void)
{
	prepare();
	surroundings_install("zbud", "good.so");
	surroundings_install_bait("bad.so");
	CHECK(chmod(scratch_path("bad.so"), 0757) == 0, "%s", strerror(errno));
	remember(good, "good.so");
	remember(bad, "bad.so");
	point_link(good);
	load_meanwhile(swap_link);
	return 0;
}

START_TEST(link_that_is_swapped_during_a_load_never_leads_to_untrusted_code)
{
	surroundings_run(swap_links_to_files);
	surroundings_run(swap_links_to_writable_files);
}
END_TEST

static int swap_links_to_directories(void)
{
	scratch_directory("good", 0755);
	scratch_directory("open", 0777);
	surroundings_install("zbud", "good/zbud.so");
	surroundings_install_bait("open/zbud.so");
	remember(good, "good");
	remember(bad, "open");
	remember(link_path, "path");
	remember(spare, "spare");
	CHECK(zpool_set_plugin_path(link_path) == 0, "%s", zpool_last_error());
	point_link(good);
	load_meanwhile(swap_link);
	return 0;
}

START_TEST(directory_that_is_swapped_during_a_load_never_leads_to_untrusted_code)
{
	surroundings_run(swap_links_to_directories);
}
END_TEST

static int swap_files(void)
{
	prepare();
	surroundings_install("zbud", "first");
	surroundings_install("zbud", "second");
	remember(good, "first");
	remember(bad, "second");
	put_file(good);
	load_meanwhile(swap_file);
	return 0;
}

static int swap_with_a_broken_file(void)
{
	prepare();
	surroundings_install("zbud", "first");
	scratch_file("second", 0755, "\177ELF and nothing else", 21);
	remember(good, "first");
	remember(bad, "second");
	put_file(good);
	load_meanwhile(swap_file);
	return 0;
}

START_TEST(file_that_is_replaced_during_a_load_is_loaded_whole_or_refused)
{
	surroundings_run(swap_files);
	surroundings_run(swap_with_a_broken_file);
}
END_TEST

static int let_file_vanish(void)
{
	prepare();
	surroundings_install("zbud", "first");
	remember(good, "first");
	put_file(good);
	load_meanwhile(make_file_vanish);
	return 0;
}

static int let_directory_vanish(void)
{
	prepare();
	surroundings_install("zbud", "plugins/zbud.so");
	remember(spare, "spare");
	load_meanwhile(make_directory_vanish);
	return 0;
}

START_TEST(plugin_that_vanishes_during_a_load_is_absent_or_works)
{
	surroundings_run(let_file_vanish);
	surroundings_run(let_directory_vanish);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		bait_ends_a_process_that_loads_it,
		link_that_is_swapped_during_a_load_never_leads_to_untrusted_code,
		directory_that_is_swapped_during_a_load_never_leads_to_untrusted_code,
		file_that_is_replaced_during_a_load_is_loaded_whole_or_refused,
		plugin_that_vanishes_during_a_load_is_absent_or_works,
	};

	return UNIT_RUN("hostile: swaps", tests);
}
