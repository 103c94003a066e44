# The scripts test nbdkit's plugin with real clients.  Each script covers one subject.

nbdkit_tests = \
	tests/hosts/nbdkit/backing.sh \
	tests/hosts/nbdkit/clients.sh \
	tests/hosts/nbdkit/faults.sh \
	tests/hosts/nbdkit/fio.sh \
	tests/hosts/nbdkit/kill.sh \
	tests/hosts/nbdkit/memory.sh \
	tests/hosts/nbdkit/parameters.sh \
	tests/hosts/nbdkit/requests.sh

EXTRA_DIST += $(nbdkit_tests) tests/hosts/nbdkit/bench.sh tests/hosts/nbdkit/common.sh
TESTS += $(nbdkit_tests)

if HAVE_NBDKIT
if HAVE_LIBNBD
check_PROGRAMS += tests/hosts/nbdkit/client tests/hosts/nbdkit/crash
tests_hosts_nbdkit_client_SOURCES = tests/hosts/nbdkit/client.c
tests_hosts_nbdkit_client_CFLAGS = $(AM_CFLAGS) $(LIBNBD_CFLAGS)
tests_hosts_nbdkit_client_LDADD = $(LIBNBD_LIBS) $(PTHREAD_LIBS)
tests_hosts_nbdkit_crash_SOURCES = tests/hosts/nbdkit/crash.c
tests_hosts_nbdkit_crash_CFLAGS = $(AM_CFLAGS) $(LIBNBD_CFLAGS)
tests_hosts_nbdkit_crash_LDADD = $(LIBNBD_LIBS) $(PTHREAD_LIBS)

# This one has functions in place of those of libnbd and nbdkit, and a clock of its own.
if HAVE_CHECK
check_PROGRAMS += tests/hosts/nbdkit/remote
TESTS += tests/hosts/nbdkit/remote
tests_hosts_nbdkit_remote_SOURCES = tests/hosts/nbdkit/remote.c tests/hosts/nbdkit/remote_server.h \
	hosts/nbdkit/remote.c hosts/nbdkit/remote.h hosts/nbdkit/remote_connect.c hosts/nbdkit/remote_internal.h
tests_hosts_nbdkit_remote_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/store -Dclock_gettime=test_clock_gettime \
	-Dpthread_cond_wait=test_pthread_cond_wait
tests_hosts_nbdkit_remote_CFLAGS = $(unit_cflags) $(NBDKIT_CFLAGS) $(LIBNBD_CFLAGS)
tests_hosts_nbdkit_remote_LDADD = $(unit_ldadd)
endif
endif
endif

# The soak kills the server a hundred times and runs fio for ten minutes; SOAK_KILLS and SOAK_SECONDS change that.
SOAK_KILLS = 100
SOAK_SECONDS = 150
.PHONY: check-soak-nbdkit
check-soak-nbdkit: all
	$(MAKE) check TESTS='tests/hosts/nbdkit/kill.sh tests/hosts/nbdkit/fio.sh' ZPOOL_TEST_KILLS='$(SOAK_KILLS)' \
		ZPOOL_TEST_FIO_SECONDS='$(SOAK_SECONDS)'

# The benchmark compares the plugin with nbdkit's memory plugin, and it and the store with zram.
.PHONY: bench-nbdkit
bench-nbdkit: all tests/bench/zram
	@$(AM_TESTS_ENVIRONMENT) srcdir='$(srcdir)' '$(srcdir)/tests/with-plugins' $(SHELL) '$(srcdir)/tests/hosts/nbdkit/bench.sh'
