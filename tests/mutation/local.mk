# The contract suite must fail on each of several faulty versions of zbud and of the suite's mock_slabs.
#
# Mutated drivers are plugins. If drivers are linked in, the suite would use those instead.

EXTRA_DIST += tests/mutation/check-mutation.sh tests/mutation/check-mutants.py tests/mutation/mutants.py \
	tests/mutation/survivors

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

# Random mutants of the library and its plugins. MUTATION_FLAGS may have --seed, --jobs and --goal.
MUTANTS = 10
MUTATION_ROOMS =
MUTATION_FLAGS =
PYTHON = python3

.PHONY: check-mutants
check-mutants:
	@command -v $(PYTHON) >/dev/null || { echo '$@: $(PYTHON) is not installed (Debian: python3)' >&2; exit 1; }
	$(AM_V_at)$(PYTHON) $(top_srcdir)/tests/mutation/check-mutants.py --source '$(abs_top_srcdir)' \
		--build '$(abs_top_builddir)' --cc '$(CC)' --mutants $(MUTANTS) --rooms '$(MUTATION_ROOMS)' \
		--drivers '$(plugin_drivers:plugins/%.la=%)' --filters '$(plugin_filters:plugins/%.la=%)' $(MUTATION_FLAGS)
