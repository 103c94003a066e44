# Runs the conformance suite of conformance/ on every driver that is found.

check_PROGRAMS += tests/contract/contract
TESTS += tests/contract/contract

tests_contract_contract_SOURCES = tests/contract/main.c
tests_contract_contract_CPPFLAGS = $(AM_CPPFLAGS) $(contract_preload_cppflags)
tests_contract_contract_LDFLAGS = $(AM_LDFLAGS) $(contract_preload_ldflags)
tests_contract_contract_LDADD = conformance/libconformance.a libzpool/libzpool.la $(PTHREAD_LIBS)

# Without shared libraries there are no plugins to load, so the drivers are linked into the program.
if !ENABLE_SHARED
contract_preload_cppflags = -DCONTRACT_PRELOAD
contract_preload_ldflags = -static $(preload_plugins)
EXTRA_tests_contract_contract_DEPENDENCIES = $(plugin_LTLIBRARIES) plugins/shipped.h
endif

# Runs the suite on mock drivers that have few optional features, alone and below a filter.
check_PROGRAMS += tests/contract/with_mocks
contract_scripts = \
	tests/contract/ignored_sigchld.sh \
	tests/contract/mocks.sh \
	tests/contract/small.sh \
	tests/contract/stacks.sh
TESTS += $(contract_scripts)
EXTRA_DIST += $(contract_scripts)
tests/contract/mocks.log: tests/contract/with_mocks$(EXEEXT)
tests/contract/ignored_sigchld.log tests/contract/small.log tests/contract/stacks.log: tests/contract/contract$(EXEEXT)

tests_contract_with_mocks_SOURCES = \
	tests/contract/main.c \
	tests/contract/mock_slabs.c tests/contract/mock_slabs.h \
	tests/contract/mocks.c tests/contract/mocks.h
tests_contract_with_mocks_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/libzpool/support $(contract_preload_cppflags)
tests_contract_with_mocks_LDFLAGS = $(AM_LDFLAGS) $(contract_preload_ldflags)
tests_contract_with_mocks_LDADD = conformance/libconformance.a libzpool/support/libzpsupport.la libzpool/libzpool.la $(PTHREAD_LIBS)
if !ENABLE_SHARED
EXTRA_tests_contract_with_mocks_DEPENDENCIES = $(plugin_LTLIBRARIES) plugins/shipped.h
endif
