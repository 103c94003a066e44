# The plugin of nbdkit, through real clients.  Each script is one subject.

nbdkit_tests = \
	tests/hosts/nbdkit/clients.sh \
	tests/hosts/nbdkit/fio.sh \
	tests/hosts/nbdkit/memory.sh \
	tests/hosts/nbdkit/parameters.sh \
	tests/hosts/nbdkit/requests.sh

EXTRA_DIST += $(nbdkit_tests) tests/hosts/nbdkit/bench.sh tests/hosts/nbdkit/common.sh
TESTS += $(nbdkit_tests)

if HAVE_NBDKIT
if HAVE_LIBNBD
check_PROGRAMS += tests/hosts/nbdkit/client
tests_hosts_nbdkit_client_SOURCES = tests/hosts/nbdkit/client.c
tests_hosts_nbdkit_client_CFLAGS = $(AM_CFLAGS) $(LIBNBD_CFLAGS)
tests_hosts_nbdkit_client_LDADD = $(LIBNBD_LIBS) $(PTHREAD_LIBS)
endif
endif

# The plugin beside nbdkit's memory plugin and zram.
.PHONY: bench-nbdkit
bench-nbdkit: all
	@$(AM_TESTS_ENVIRONMENT) srcdir='$(srcdir)' '$(srcdir)/tests/with-plugins' $(SHELL) '$(srcdir)/tests/hosts/nbdkit/bench.sh'
