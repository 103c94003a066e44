# Unit tests: one program for each source, in the directory of the same name.

include $(top_srcdir)/tests/unit/support/local.mk

if HAVE_CHECK
unit_tests = \
	tests/unit/base/env \
	tests/unit/base/error \
	tests/unit/base/log \
	tests/unit/base/name \
	tests/unit/base/patience \
	tests/unit/base/text \
	tests/unit/loader/acl \
	tests/unit/loader/elf \
	tests/unit/loader/elf_limits \
	tests/unit/loader/installed \
	tests/unit/loader/loader \
	tests/unit/loader/module \
	tests/unit/loader/needs \
	tests/unit/loader/search \
	tests/unit/loader/trust \
	tests/unit/loader/trust_hidden \
	tests/unit/loader/userns \
	tests/unit/core/calls \
	tests/unit/core/driver \
	tests/unit/core/dump \
	tests/unit/core/fork \
	tests/unit/core/inventory \
	tests/unit/core/limit \
	tests/unit/core/limit_evict \
	tests/unit/core/object \
	tests/unit/core/open \
	tests/unit/core/param \
	tests/unit/core/pools \
	tests/unit/core/registry \
	tests/unit/core/spec \
	tests/unit/core/stack \
	tests/unit/core/stats \
	tests/unit/core/thread_exit \
	tests/unit/core/verify \
	$(unit_tests_with_plugins) \
	tests/unit/conformance/watch \
	tests/unit/tools/child \
	tests/unit/tools/histogram

check_PROGRAMS += $(unit_tests)
TESTS += $(unit_tests)

# Code that the unit tests share. Includes of Check and of the library's headers are relative to the top of the source
# tree.
check_LTLIBRARIES += tests/unit/libunit.la
tests_unit_libunit_la_SOURCES = \
	tests/unit/driver-for-tests.c tests/unit/driver-for-tests.h \
	tests/unit/run.c tests/unit/run.h \
	tests/unit/scratch.c tests/unit/scratch.h
tests_unit_libunit_la_CFLAGS = $(unit_cflags)

unit_cflags = $(AM_CFLAGS) $(CHECK_CFLAGS)
unit_ldadd = tests/unit/libunit.la libzpool/libzpcore.la $(CHECK_LIBS) $(PTHREAD_LIBS)

# Programs in which the library's allocations fail one by one.
failing_memory = tests/unit/failing-memory.c tests/unit/failing-memory.h
failing_memory_ldflags = $(AM_LDFLAGS) \
	-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc,--wrap=aligned_alloc,--wrap=strdup,--wrap=open_memstream \
	-Wl,--wrap=asprintf,--wrap=vasprintf,--wrap=__asprintf_chk,--wrap=__vasprintf_chk

# A plugin for tests that load one. It is never installed.
check_LTLIBRARIES += tests/unit/loader/planted.la
tests_unit_loader_planted_la_SOURCES = tests/unit/loader/planted.c
tests_unit_loader_planted_la_LDFLAGS = $(AM_LDFLAGS) $(PLUGIN_LDFLAGS) -module -avoid-version -no-undefined -rpath /nowhere

tests_unit_base_env_SOURCES = tests/unit/base/env.c
tests_unit_base_env_CFLAGS = $(unit_cflags)
tests_unit_base_env_LDADD = $(unit_ldadd)

tests_unit_base_error_SOURCES = tests/unit/base/error.c $(failing_memory)
tests_unit_base_error_CFLAGS = $(unit_cflags)
tests_unit_base_error_LDADD = $(unit_ldadd)
tests_unit_base_error_LDFLAGS = $(failing_memory_ldflags)

tests_unit_base_log_SOURCES = tests/unit/base/log.c $(failing_memory)
tests_unit_base_log_CFLAGS = $(unit_cflags)
tests_unit_base_log_LDADD = $(unit_ldadd)
tests_unit_base_log_LDFLAGS = $(failing_memory_ldflags)

tests_unit_base_name_SOURCES = tests/unit/base/name.c
tests_unit_base_name_CFLAGS = $(unit_cflags)
tests_unit_base_name_LDADD = $(unit_ldadd)

tests_unit_base_patience_SOURCES = tests/unit/base/patience.c
tests_unit_base_patience_CFLAGS = $(unit_cflags)
tests_unit_base_patience_LDADD = $(unit_ldadd)

tests_unit_base_text_SOURCES = tests/unit/base/text.c $(failing_memory)
tests_unit_base_text_CFLAGS = $(unit_cflags)
tests_unit_base_text_LDADD = $(unit_ldadd)
tests_unit_base_text_LDFLAGS = $(failing_memory_ldflags)

tests_unit_loader_acl_SOURCES = tests/unit/loader/acl.c
tests_unit_loader_acl_CFLAGS = $(unit_cflags)
tests_unit_loader_acl_LDADD = $(unit_ldadd)

tests_unit_loader_elf_SOURCES = tests/unit/loader/elf.c tests/unit/loader/elf_fixture.h $(failing_memory)
tests_unit_loader_elf_CFLAGS = $(unit_cflags)
tests_unit_loader_elf_LDADD = $(unit_ldadd)
tests_unit_loader_elf_LDFLAGS = $(failing_memory_ldflags) -Wl,--wrap=pread

tests_unit_loader_elf_limits_SOURCES = tests/unit/loader/elf_limits.c tests/unit/loader/elf_fixture.h
tests_unit_loader_elf_limits_CFLAGS = $(unit_cflags)
tests_unit_loader_elf_limits_LDADD = $(unit_ldadd)

tests_unit_loader_installed_SOURCES = tests/unit/loader/installed.c $(failing_memory)
tests_unit_loader_installed_CFLAGS = $(unit_cflags)
tests_unit_loader_installed_LDADD = $(unit_ldadd)
tests_unit_loader_installed_LDFLAGS = $(failing_memory_ldflags)

tests_unit_loader_loader_SOURCES = tests/unit/loader/loader.c
tests_unit_loader_loader_CFLAGS = $(unit_cflags)
tests_unit_loader_loader_LDADD = $(unit_ldadd)

tests_unit_loader_module_SOURCES = tests/unit/loader/module.c $(failing_memory)
tests_unit_loader_module_CFLAGS = $(unit_cflags)
tests_unit_loader_module_LDADD = $(unit_ldadd)
tests_unit_loader_module_LDFLAGS = $(failing_memory_ldflags)

tests_unit_loader_needs_SOURCES = tests/unit/loader/needs.c tests/unit/loader/needs_fixture.h $(failing_memory)
tests_unit_loader_needs_CFLAGS = $(unit_cflags)
tests_unit_loader_needs_LDADD = $(unit_ldadd)
tests_unit_loader_needs_LDFLAGS = $(failing_memory_ldflags)

tests_unit_loader_search_SOURCES = tests/unit/loader/search.c $(failing_memory)
tests_unit_loader_search_CFLAGS = $(unit_cflags)
tests_unit_loader_search_LDADD = $(unit_ldadd)
tests_unit_loader_search_LDFLAGS = $(failing_memory_ldflags)

tests_unit_loader_trust_SOURCES = tests/unit/loader/trust.c tests/unit/loader/trust_fixture.h
tests_unit_loader_trust_CFLAGS = $(unit_cflags)
tests_unit_loader_trust_LDADD = $(unit_ldadd)

tests_unit_loader_trust_hidden_SOURCES = tests/unit/loader/trust_hidden.c tests/unit/loader/trust_fixture.h
tests_unit_loader_trust_hidden_CFLAGS = $(unit_cflags)
tests_unit_loader_trust_hidden_LDADD = $(unit_ldadd)

tests_unit_loader_userns_SOURCES = tests/unit/loader/userns.c
tests_unit_loader_userns_CFLAGS = $(unit_cflags)
tests_unit_loader_userns_LDADD = $(unit_ldadd)

tests_unit_core_calls_SOURCES = tests/unit/core/calls.c
tests_unit_core_calls_CFLAGS = $(unit_cflags)
tests_unit_core_calls_LDADD = $(unit_ldadd)

tests_unit_core_driver_SOURCES = tests/unit/core/driver.c $(failing_memory)
tests_unit_core_driver_CFLAGS = $(unit_cflags)
tests_unit_core_driver_LDADD = $(unit_ldadd)
tests_unit_core_driver_LDFLAGS = $(failing_memory_ldflags)

tests_unit_core_fork_SOURCES = tests/unit/core/fork.c
tests_unit_core_fork_CFLAGS = $(unit_cflags)
tests_unit_core_fork_LDADD = $(unit_ldadd)

tests_unit_core_inventory_SOURCES = tests/unit/core/inventory.c $(failing_memory)
tests_unit_core_inventory_CFLAGS = $(unit_cflags)
tests_unit_core_inventory_LDADD = $(unit_ldadd)
tests_unit_core_inventory_LDFLAGS = $(failing_memory_ldflags)

tests_unit_core_limit_SOURCES = tests/unit/core/limit.c tests/unit/core/limited.h
tests_unit_core_limit_CFLAGS = $(unit_cflags)
tests_unit_core_limit_LDADD = $(unit_ldadd)

tests_unit_core_limit_evict_SOURCES = tests/unit/core/limit_evict.c tests/unit/core/limited.h
tests_unit_core_limit_evict_CFLAGS = $(unit_cflags)
tests_unit_core_limit_evict_LDADD = $(unit_ldadd)

tests_unit_core_object_SOURCES = tests/unit/core/object.c
tests_unit_core_object_CFLAGS = $(unit_cflags)
tests_unit_core_object_LDADD = $(unit_ldadd)

tests_unit_core_open_SOURCES = tests/unit/core/open.c $(failing_memory)
tests_unit_core_open_CFLAGS = $(unit_cflags)
tests_unit_core_open_LDADD = $(unit_ldadd)
tests_unit_core_open_LDFLAGS = $(failing_memory_ldflags)

tests_unit_core_param_SOURCES = tests/unit/core/param.c $(failing_memory)
tests_unit_core_param_CFLAGS = $(unit_cflags)
tests_unit_core_param_LDADD = $(unit_ldadd)
tests_unit_core_param_LDFLAGS = $(failing_memory_ldflags)

tests_unit_core_pools_SOURCES = tests/unit/core/pools.c
tests_unit_core_pools_CFLAGS = $(unit_cflags)
tests_unit_core_pools_LDADD = $(unit_ldadd)

tests_unit_core_registry_SOURCES = tests/unit/core/registry.c $(failing_memory)
tests_unit_core_registry_CFLAGS = $(unit_cflags)
tests_unit_core_registry_LDADD = $(unit_ldadd)
tests_unit_core_registry_LDFLAGS = $(failing_memory_ldflags)

tests_unit_core_spec_SOURCES = tests/unit/core/spec.c $(failing_memory)
tests_unit_core_spec_CFLAGS = $(unit_cflags)
tests_unit_core_spec_LDADD = $(unit_ldadd)
tests_unit_core_spec_LDFLAGS = $(failing_memory_ldflags)

tests_unit_core_stack_SOURCES = tests/unit/core/stack.c
tests_unit_core_stack_CFLAGS = $(unit_cflags)
tests_unit_core_stack_LDADD = $(unit_ldadd)

tests_unit_core_verify_SOURCES = tests/unit/core/verify.c
tests_unit_core_verify_CFLAGS = $(unit_cflags)
tests_unit_core_verify_LDADD = $(unit_ldadd)

# Drivers that are linked into the program are not wrapped.
if ENABLE_SHARED
unit_tests_with_plugins = tests/unit/core/watched
endif
tests_unit_core_watched_SOURCES = tests/unit/core/watched.c
tests_unit_core_watched_CFLAGS = $(unit_cflags)
tests_unit_core_watched_LDADD = $(unit_ldadd)

tests_unit_core_dump_SOURCES = tests/unit/core/dump.c
tests_unit_core_dump_CFLAGS = $(unit_cflags)
tests_unit_core_dump_LDADD = $(unit_ldadd)

tests_unit_core_stats_SOURCES = tests/unit/core/stats.c
tests_unit_core_stats_CFLAGS = $(unit_cflags)
tests_unit_core_stats_LDADD = $(unit_ldadd)

tests_unit_core_thread_exit_SOURCES = tests/unit/core/thread_exit.c $(failing_memory)
tests_unit_core_thread_exit_CFLAGS = $(unit_cflags)
tests_unit_core_thread_exit_LDADD = $(unit_ldadd)
tests_unit_core_thread_exit_LDFLAGS = $(failing_memory_ldflags)

# Clocks and signals pass through the tests.
tests_unit_conformance_watch_SOURCES = tests/unit/conformance/watch.c conformance/watch.c conformance/watch.h \
	conformance/processes.h
tests_unit_conformance_watch_CFLAGS = $(unit_cflags)
tests_unit_conformance_watch_LDADD = $(unit_ldadd)
tests_unit_conformance_watch_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_gettime

tests_unit_tools_child_SOURCES = tests/unit/tools/child.c tools/child.c tools/child.h tools/clock.h \
	tools/interrupt.c tools/interrupt.h
tests_unit_tools_child_CFLAGS = $(unit_cflags)
tests_unit_tools_child_LDADD = $(unit_ldadd)
tests_unit_tools_child_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=clock_gettime,--wrap=kill

tests_unit_tools_histogram_SOURCES = tests/unit/tools/histogram.c tools/bench/histogram.c tools/bench/histogram.h
tests_unit_tools_histogram_CFLAGS = $(unit_cflags)
tests_unit_tools_histogram_LDADD = $(unit_ldadd) -lm
endif
