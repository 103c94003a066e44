# Pools of the shipped drivers, loaded as plugins, in a process with locked memory or tight resource limits.

if HAVE_CHECK
if ENABLE_SHARED
limits_tests = tests/limits/locked tests/limits/address_space
check_PROGRAMS += $(limits_tests)
TESTS += $(limits_tests)
EXTRA_DIST += tests/limits/limits.h

tests_limits_locked_SOURCES = tests/limits/locked.c tests/limits/limits.h
tests_limits_locked_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_limits_locked_CFLAGS = $(unit_cflags)
tests_limits_locked_LDADD = $(unit_ldadd)

tests_limits_address_space_SOURCES = tests/limits/address_space.c tests/limits/limits.h
tests_limits_address_space_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_limits_address_space_CFLAGS = $(unit_cflags)
tests_limits_address_space_LDADD = $(unit_ldadd)
endif
endif
