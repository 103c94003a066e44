# Pools of the shipped drivers, loaded as plugins, in a process with locked memory or tight resource limits.

if HAVE_CHECK
if ENABLE_SHARED
limits_tests = \
	tests/limits/address_space \
	tests/limits/cgroup \
	tests/limits/descriptors \
	tests/limits/locked \
	tests/limits/mappings
if ENABLE_STORE
limits_tests += tests/limits/store
endif
check_PROGRAMS += $(limits_tests)
TESTS += $(limits_tests)
EXTRA_DIST += tests/limits/limits.h tests/unit/child.h

tests_limits_locked_SOURCES = tests/limits/locked.c tests/limits/limits.h
tests_limits_locked_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_limits_locked_CFLAGS = $(unit_cflags)
tests_limits_locked_LDADD = $(unit_ldadd)

tests_limits_address_space_SOURCES = tests/limits/address_space.c tests/limits/limits.h
tests_limits_address_space_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_limits_address_space_CFLAGS = $(unit_cflags)
tests_limits_address_space_LDADD = $(unit_ldadd)

# These use the store as well, where it is built.
limits_store_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)
limits_store_ldadd = tests/unit/libunit.la
if ENABLE_STORE
limits_store_cppflags += -I$(top_srcdir)/store -DHAVE_STORE
limits_store_ldadd += store/libzpool-store.la
endif
limits_store_ldadd += libzpool/libzpool.la $(CHECK_LIBS) $(PTHREAD_LIBS)

tests_limits_cgroup_SOURCES = tests/limits/cgroup.c tests/limits/limits.h
tests_limits_cgroup_CPPFLAGS = $(limits_store_cppflags)
tests_limits_cgroup_CFLAGS = $(unit_cflags)
tests_limits_cgroup_LDADD = $(limits_store_ldadd)
tests_limits_descriptors_SOURCES = tests/limits/descriptors.c tests/limits/limits.h
tests_limits_descriptors_CPPFLAGS = $(limits_store_cppflags)
tests_limits_descriptors_CFLAGS = $(unit_cflags)
tests_limits_descriptors_LDADD = $(limits_store_ldadd)
tests_limits_mappings_SOURCES = tests/limits/mappings.c tests/limits/limits.h
tests_limits_mappings_CPPFLAGS = $(limits_store_cppflags)
tests_limits_mappings_CFLAGS = $(unit_cflags)
tests_limits_mappings_LDADD = $(limits_store_ldadd)
if ENABLE_STORE
tests_limits_store_SOURCES = tests/limits/store.c tests/limits/limits.h
tests_limits_store_CPPFLAGS = $(limits_store_cppflags)
tests_limits_store_CFLAGS = $(unit_cflags)
tests_limits_store_LDADD = $(limits_store_ldadd)
endif
endif
endif
