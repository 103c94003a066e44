# Is the contract suite worth its name?  It must fail on each of a dozen and more wrong versions of zbud.
#
# Mutated plugins are shared objects; where drivers are linked in, those would be found first.

EXTRA_DIST += tests/mutation/check-mutation.sh

.PHONY: check-mutation
if ENABLE_SHARED
TESTS += tests/mutation/check-mutation.sh

check-mutation: tests/contract/contract
	$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/mutation/check-mutation.sh
else
check-mutation:
	@echo '$@: needs a build with shared libraries' >&2; exit 1
endif
