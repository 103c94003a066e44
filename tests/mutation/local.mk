# The contract suite must fail on each of several faulty versions of zbud and of the suite's mock_slabs.
#
# Mutated drivers are plugins. If drivers are linked in, the suite would use those instead.

EXTRA_DIST += tests/mutation/check-mutation.sh

.PHONY: check-mutation
if ENABLE_SHARED
TESTS += tests/mutation/check-mutation.sh
tests/mutation/check-mutation.log: tests/contract/contract$(EXEEXT)

check-mutation: tests/contract/contract
	$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/mutation/check-mutation.sh
else
check-mutation:
	@echo '$@: this target needs a build with shared libraries' >&2; exit 1
endif
