# SPDX-License-Identifier: MIT
#
# Targets for developers of libzpool; doc/hacking.md says when to use them.
#
#   format, format-check    format the C sources with clang-format, or only report differences
#   lint                    cppcheck, clang-tidy, shellcheck, and rules of style that grep can check
#   spell-check             run codespell on everything that is written by hand
#   sizes                   report files and functions that are too long
#   check-one               run the tests that T names, and build only what they need
#   check-valgrind          run the test programs under memcheck
#   check-asan, check-tsan  run the test suite in a separate build with sanitizers
#   check-musl, check-aarch64, check-i386
#                           build for another C library or machine, and run the tests that work there
#   check-debug             run unit tests and the conformance suite in a separate build in which drivers verify their data
#   check-abi, update-abi   compare the libraries' binary interfaces with the recorded ones, or record them
#   check-configurations    build everything with clang, static or shared only, and without optional parts and packages
#   coverage                the test suite's coverage of lines and branches, by room and as HTML (in a build with
#                           --enable-coverage)
#   check-matrix            all of lint, and every configuration that .ci/run leaves out; takes hours
#   deb                     the Debian packages, in ./deb, checked with lintian
#   check-chroot            the two commands of README.md in an empty Debian system (root)
#
# They use the tools of the same names, and fail if one is not installed.

rooms = libzpool plugins store hosts conformance tools tests

# find runs in the source tree, so it does not see the files that are generated in a separate build tree.
find_c = cd '$(srcdir)' && find $(rooms) -name '*.[ch]' -print
find_scripts = cd '$(srcdir)' && { echo quickstart.sh; echo .ci/run; ls doc/*.sh; find $(rooms) -name '*.sh' -print; }

# $(call need,PROGRAM,PACKAGE) fails with a message if the program is missing.
need = command -v $(1) >/dev/null || { echo '$@: $(1) is not installed (Debian: $(2))' >&2; exit 1; }

.PHONY: format format-check lint lint-cppcheck lint-clang-tidy lint-shell lint-style sizes spell-check
.PHONY: check-one check-abi update-abi deb check-matrix check-valgrind check-asan check-tsan check-debug check-configurations coverage coverage-report check-chroot clean-coverage \
	check-musl check-aarch64 check-i386

CLANG_FORMAT = clang-format
CLANG_TIDY = clang-tidy

format:
	@$(call need,$(CLANG_FORMAT),clang-format)
	$(AM_V_at)$(find_c) | xargs $(CLANG_FORMAT) -i

# Comments are not reflowed, because some contain tables; so this also reports long lines.
# String literals do not count: they are never broken, so that grep finds a message.
format-check:
	@$(call need,$(CLANG_FORMAT),clang-format)
	$(AM_V_at)$(find_c) | xargs $(CLANG_FORMAT) --dry-run -Werror
	$(AM_V_at)$(find_c) | { status=0; while read -r file; do \
		expand "$$file" | awk -v file="$$file" '{ gsub(/"([^"\\]|\\.)*"/, "") } \
			length > 120 { print file ":" NR ": more than 120 columns"; n++ } \
			END { exit n > 0 }' || status=1; done; exit $$status; }

lint: lint-cppcheck lint-clang-tidy lint-shell lint-style

# What the other tools do not find: sizeof without parentheses, and unsigned without a type.
lint-style:
	$(AM_V_at)cd '$(srcdir)' && find $(rooms) -name '*.[ch]' -print | sort | xargs awk -f tests/dist/style.awk

# cppcheck does not read system headers, so macros that are loops must be defined for it; nor does it believe that the
# functions that end a case of the conformance suite do not return.
cppcheck_macros = \
	'-Djson_array_foreach(array,i,value)=while ((value = next(array)) && (i = position(array)))' \
	'-Djson_object_foreach(object,key,value)=while ((value = next(object)) && (key = name(object)))' \
	'-DSHIPPED_DRIVERS(X)=X("zbud")' '-DSHIPPED_FILTERS(X)=X("guard")' \
	'-Dct_fail(...)=abort()' '-Dct_skip(...)=abort()'

lint-cppcheck:
	@$(call need,cppcheck,cppcheck)
	$(AM_V_at)cd '$(srcdir)' && cppcheck --quiet --std=c11 --language=c --inline-suppr --error-exitcode=1 \
		--enable=warning,performance,portability --suppress=missingIncludeSystem -j "$$(nproc)" \
		-Ilibzpool -Ilibzpool/support -Istore -DHAVE_CONFIG_H -D__x86_64__ -D__linux__ -D__GNUC__ \
		$(cppcheck_macros) $(filter-out tests,$(rooms))

lint_flags = $(DEFS) $(DEFAULT_INCLUDES) $(libzpool_cppflags) $(store_cppflags) $(plugin_cppflags) $(tools_zpoolctl_CPPFLAGS) $(TOOLS_CFLAGS) $(CPPFLAGS) \
	-std=gnu11

lint-clang-tidy:
	@$(call need,$(CLANG_TIDY),clang-tidy)
	$(AM_V_at)(cd '$(srcdir)' && find $(filter-out tests,$(rooms)) -name '*.c' -print) | \
		xargs -P "$$(nproc)" -I {} $(CLANG_TIDY) --quiet '$(srcdir)/{}' -- $(lint_flags) 2>/dev/null

lint-shell:
	@$(call need,shellcheck,shellcheck)
	$(AM_V_at)$(find_scripts) | xargs shellcheck -x -P "$$PWD"

# Words that codespell would report as mistakes: a macro of man pages, and the static functions of a driver.
spell-check:
	@$(call need,codespell,codespell)
	$(AM_V_at)cd '$(srcdir)' && codespell -L bu,statics --skip='*.svg,*.sizes,tests/fuzz/corpus' \
		$(rooms) doc README.md CONTRIBUTING.md SECURITY.md NEWS quickstart.sh .ci configure.ac Makefile.am build-targets.mk m4/zpool.m4

sizes:
	$(AM_V_at)cd '$(srcdir)' && find $(rooms) -name '*.[ch]' -print | sort | \
		xargs awk -f tests/dist/sizes.awk

# `make check' builds all test programs, whatever TESTS is.  check-one builds only the named tests and their helpers:
# clean-start, and the modules and programs other than tests that belong to the same directory below tests/.  A test that
# needs anything else names it as a prerequisite of its log.
one_unknown = $(filter-out $(TESTS:$(EXEEXT)=),$(T))
one_rooms = $(foreach test,$(T),$(word 1,$(subst /, ,$(test)))/$(word 2,$(subst /, ,$(test))))
one_helpers = tests/clean-start$(EXEEXT) $(filter $(one_rooms:%=%/%),$(filter-out $(TESTS),$(check_PROGRAMS)))

check-one:
	@test -n '$(T)' || { echo '$@: name one or more tests: make $@ T=tests/unit/core/open' >&2; exit 1; }
	@test -z '$(one_unknown)' || { echo '$@: no test of this build is named $(one_unknown)' >&2; exit 1; }
	$(AM_V_at)$(MAKE) check TESTS='$(T)' check_LIBRARIES= \
		check_PROGRAMS='$(sort $(filter $(T:=$(EXEEXT)),$(check_PROGRAMS)) $(one_helpers))' \
		check_LTLIBRARIES='$(filter $(one_rooms:%=%/%),$(check_LTLIBRARIES))' || { \
		for test in $(T); do \
			log=$${test%.sh}.log; test -f "$$log" || continue; \
			failures=`grep -E '^(not ok|FAILED|FAIL)|:[FE]:' "$$log" | head -n 20`; \
			test -z "$$failures" || printf '\n%s:\n%s\n' "$$log" "$$failures"; \
		done; exit 1; }

# Only programs are run under memcheck: with scripts it would check the shell.  A forked test that leaks ends with a
# status other than 0, which Check reports.  --keep-debuginfo keeps the function names of unmapped plugins in reports.
VALGRIND_FLAGS = --quiet --error-exitcode=99 --leak-check=full --errors-for-leak-kinds=definite,indirect,possible \
	--num-callers=30 --keep-debuginfo=yes --fair-sched=try \
	--suppressions='$(abs_top_srcdir)/tests/dist/valgrind.supp'

check-valgrind:
	@$(call need,valgrind,valgrind)
	CK_TIMEOUT_MULTIPLIER=20 ZPOOL_TEST_VALGRIND=1 $(MAKE) check \
		LOG_FLAGS="$(LIBTOOL) --mode=execute valgrind $(VALGRIND_FLAGS)"

# These builds use the same compiler.  Their directories are kept, so that a second run rebuilds only what changed.
check-asan:
	CC='$(CC)' $(SHELL) '$(srcdir)/tests/dist/sanitized.sh' '$(srcdir)' address,undefined

check-tsan:
	CC='$(CC)' $(SHELL) '$(srcdir)/tests/dist/sanitized.sh' '$(srcdir)' thread

check-debug:
	CC='$(CC)' $(SHELL) '$(srcdir)/tests/dist/verified.sh' '$(srcdir)' \
		$(filter tests/unit/%,$(TESTS)) $(filter tests/contract/%,$(TESTS))

# CONFIGURATIONS restricts this to some of the names that the script lists.
check-configurations:
	CC='$(CC)' $(SHELL) '$(srcdir)/tests/dist/configurations.sh' '$(srcdir)' $(CONFIGURATIONS)

check-musl check-aarch64 check-i386:
	'$(srcdir)/tests/dist/foreign.sh' '$(srcdir)' '$(@:check-%=%)'

check-abi update-abi: all
	@$(call need,abidw,abigail-tools)
	$(AM_V_at)$(SHELL) '$(srcdir)/tests/abi/check-abi.sh' '$(srcdir)' $(@:%-abi=%)

lcov = lcov --quiet --rc lcov_branch_coverage=1

if ENABLE_COVERAGE
# Some tests fail if a driver leaves new files behind, so the counters' files exist before the tests run.
coverage: all
	@$(call need,lcov,lcov)
	find . -name '*.gcda' -exec rm -f {} +
	find . -name '*.gcno' | sed 's/gcno$$/gcda/' | xargs touch
	$(MAKE) check
	$(MAKE) check-starvation
	$(MAKE) coverage-report

# Reports what the programs of this build have executed since the counters were deleted.
coverage-report:
	@$(call need,lcov,lcov)
	find . -name '*.gcda' -empty -exec rm -f {} +
	$(AM_V_at)$(lcov) --capture --directory . --base-directory '$(abs_top_builddir)' --no-external \
		--directory "`cd '$(srcdir)' && pwd -P`" --output-file coverage.info
	$(AM_V_at)$(lcov) --remove coverage.info '*/tests/*' --output-file coverage.info
	$(AM_V_at)genhtml --quiet --branch-coverage --title "$(PACKAGE_STRING)" --output-directory coverage coverage.info
	$(AM_V_at)$(AWK) -v root="`cd '$(srcdir)' && pwd -P`" -f '$(srcdir)/tests/coverage/uncovered.awk' \
		'$(srcdir)/tests/coverage/uncovered' coverage.info
	$(AM_V_at)$(AWK) -v root="`cd '$(srcdir)' && pwd -P`" -f '$(srcdir)/tests/coverage/rooms.awk' coverage.info
	@echo "The report is in coverage/index.html."

clean-local: clean-coverage
clean-coverage:
	find . \( -name '*.gcda' -o -name '*.gcno' \) -exec rm -f {} +
	rm -rf coverage coverage.info
else
coverage coverage-report:
	@echo '$@: this build does not measure coverage; configure another one with --enable-coverage' >&2; exit 1
endif

# check-matrix prints the name and the duration of each target, and ends at the first failure.
matrix = lint spell-check check-abi check-configurations check-debug check-asan check-tsan check-valgrind check-musl check-i386 check-aarch64 distcheck

check-matrix:
	@for target in $(matrix); do \
		start=`date +%s`; \
		echo "check-matrix: $$target"; \
		$(MAKE) $$target || { echo "check-matrix: $$target failed" >&2; exit 1; }; \
		echo "check-matrix: $$target passed in $$((`date +%s` - start)) s"; \
	done

# The tarball does not contain debian/, because distributions have their own.
deb:
	@$(call need,dpkg-buildpackage,dpkg-dev)
	$(MAKE) dist
	$(SHELL) '$(srcdir)/tests/dist/deb.sh' '$(srcdir)' '$(distdir).tar.xz'

check-chroot:
	'$(srcdir)/tests/dist/chroot.sh'

# distcheck builds the tarball with warnings as errors.
AM_DISTCHECK_CONFIGURE_FLAGS = --enable-werror

distclean-local:
	rm -rf fuzz-libfuzzer fuzz-afl fuzz-corpus fuzz-findings
	rm -rf configurations deb sanitize-address-undefined sanitize-thread debug-checks foreign-musl foreign-aarch64 foreign-i386

TESTS += tests/dist/contents.sh tests/dist/drivers.sh tests/dist/exports.sh tests/dist/includes.sh \
	tests/dist/locks.sh

EXTRA_DIST += tests/abi/check-abi.sh tests/abi/libzpool.abi tests/abi/libzpool-store.abi
EXTRA_DIST += tests/dist/drivers.sh tests/dist/exports.sh tests/dist/includes.awk tests/dist/includes.sh tests/dist/locks.sh tests/dist/rooms
EXTRA_DIST += .clang-tidy .gitignore tests/dist/chroot.sh tests/dist/configurations.sh tests/dist/contents.sh tests/dist/deb.sh tests/dist/foreign.sh tests/dist/sanitized.sh tests/dist/sizes.awk tests/dist/style.awk tests/dist/valgrind.supp \
	tests/dist/verified.sh
