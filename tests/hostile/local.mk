# Surroundings that are against the library: privileges, namespaces, mounts, files that change, full disks, hosts that
# unload it.  Tests that need rights which the process lacks are skipped with the reason.

if ENABLE_SHARED
check_PROGRAMS += tests/hostile/unload
TESTS += tests/hostile/unload
# The program must not be linked with the library that it opens.
tests_hostile_unload_SOURCES = tests/hostile/unload.c
tests_hostile_unload_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir) -DTEST_LIBRARY='"libzpool/.libs/libzpool.so"'
tests_hostile_unload_LDADD = -ldl $(PTHREAD_LIBS)
if ENABLE_STORE
check_PROGRAMS += tests/hostile/unload-store
TESTS += tests/hostile/unload-store
tests_hostile_unload_store_SOURCES = tests/hostile/unload.c
tests_hostile_unload_store_CPPFLAGS = $(store_cppflags) -DTEST_STORE \
	-DTEST_LIBRARY='"store/.libs/libzpool-store.so"'
tests_hostile_unload_store_LDADD = -ldl $(PTHREAD_LIBS)
endif

if HAVE_CHECK
hostile_tests = \
	tests/hostile/files \
	tests/hostile/mounts \
	tests/hostile/namespaces \
	tests/hostile/swaps
check_PROGRAMS += $(hostile_tests)
TESTS += $(hostile_tests)

check_LTLIBRARIES += tests/hostile/libsurroundings.la tests/hostile/bait.la
tests_hostile_libsurroundings_la_SOURCES = \
	tests/hostile/surroundings.c tests/hostile/surroundings.h tests/unit/child.h
tests_hostile_libsurroundings_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_hostile_libsurroundings_la_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
# With -rpath, libtool builds a module although it is not installed.
tests_hostile_bait_la_SOURCES = tests/hostile/bait.c tests/tools/mocks/mock-pool.h
tests_hostile_bait_la_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_hostile_bait_la_LDFLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS) -module -avoid-version -no-undefined -rpath /nowhere

hostile_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)
hostile_ldadd = tests/hostile/libsurroundings.la tests/unit/libunit.la
if ENABLE_STORE
hostile_cppflags += -I$(top_srcdir)/store -DHAVE_STORE
hostile_ldadd += store/libzpool-store.la
endif
hostile_ldadd += libzpool/libzpool.la $(CHECK_LIBS) $(PTHREAD_LIBS)

tests_hostile_files_SOURCES = tests/hostile/files.c
tests_hostile_files_CPPFLAGS = $(hostile_cppflags)
tests_hostile_files_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_files_LDADD = $(hostile_ldadd)
tests_hostile_mounts_SOURCES = tests/hostile/mounts.c
tests_hostile_mounts_CPPFLAGS = $(hostile_cppflags)
tests_hostile_mounts_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_mounts_LDADD = $(hostile_ldadd)
tests_hostile_namespaces_SOURCES = tests/hostile/namespaces.c
tests_hostile_namespaces_CPPFLAGS = $(hostile_cppflags)
tests_hostile_namespaces_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_namespaces_LDADD = $(hostile_ldadd)
tests_hostile_swaps_SOURCES = tests/hostile/swaps.c
tests_hostile_swaps_CPPFLAGS = $(hostile_cppflags)
tests_hostile_swaps_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_hostile_swaps_LDADD = $(hostile_ldadd)
endif
endif

EXTRA_DIST += tests/hostile/full_disk.sh tests/hostile/root_directory.sh tests/hostile/private_mounts.sh
if ENABLE_TOOLS
TESTS += tests/hostile/full_disk.sh tests/hostile/root_directory.sh
endif

# Tests that change a setting of the whole system, and restore it. They do nothing without ZPOOL_TEST_CHANGE_SYSTEM=yes.
EXTRA_DIST += tests/hostile/overcommit.sh
ZPOOL_TEST_CHANGE_SYSTEM ?=
.PHONY: check-hostile-system
check-hostile-system: all
	$(MAKE) check TESTS=
	$(AM_TESTS_ENVIRONMENT) ZPOOL_TEST_CHANGE_SYSTEM='$(ZPOOL_TEST_CHANGE_SYSTEM)' srcdir='$(srcdir)' \
		'$(srcdir)/tests/with-plugins' $(SHELL) '$(srcdir)/tests/hostile/overcommit.sh' || test $$? -eq 77
