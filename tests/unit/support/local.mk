# Unit tests of the support library, and of the drivers, whose callbacks are called directly.

if HAVE_CHECK
support_tests = \
	tests/unit/support/biased \
	tests/unit/support/bits \
	tests/unit/support/handles \
	tests/unit/support/handles_narrow \
	tests/unit/support/handles_shared \
	tests/unit/support/handles_shared_narrow \
	tests/unit/support/lock \
	tests/unit/support/magazine \
	tests/unit/support/magazine_shared \
	tests/unit/support/os_pages \
	tests/unit/support/os_unmap \
	tests/unit/support/pages \
	tests/unit/support/pages_lazy \
	tests/unit/support/table \
	tests/unit/plugins/evict_fork \
	tests/unit/plugins/libc \
	tests/unit/plugins/promises \
	tests/unit/plugins/room \
	tests/unit/plugins/trace \
	tests/unit/plugins/z3fold \
	tests/unit/plugins/zblock \
	tests/unit/plugins/zbud \
	tests/unit/plugins/zbud_caches \
	tests/unit/plugins/zbud_shrink \
	tests/unit/plugins/zsmalloc \
	tests/unit/plugins/zsmalloc_holes \
	tests/unit/plugins/zsmalloc_maps \
	tests/unit/plugins/zsmalloc_pinned \
	tests/unit/plugins/zsmalloc_retired \
	tests/unit/plugins/zsmalloc_room \
	tests/unit/plugins/zsmalloc_settle

check_PROGRAMS += $(support_tests)
TESTS += $(support_tests)

support_test_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/libzpool/support -I$(top_srcdir)/tests/unit/support $(CHECK_CFLAGS)
support_test_ldadd = libzpool/support/libzpsupport.la $(CHECK_LIBS) $(PTHREAD_LIBS)
strict_source = \
	tests/unit/support/strict_source.c \
	tests/unit/support/strict_source.h \
	tests/unit/support/unit.h

tests_unit_support_bits_SOURCES = tests/unit/support/bits.c tests/unit/support/unit.h
tests_unit_support_bits_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_bits_LDADD = $(support_test_ldadd)

tests_unit_support_biased_SOURCES = tests/unit/support/biased.c tests/unit/support/unit.h
tests_unit_support_biased_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_biased_LDADD = $(support_test_ldadd)

tests_unit_support_lock_SOURCES = tests/unit/support/lock.c tests/unit/support/unit.h
tests_unit_support_lock_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_lock_LDADD = $(support_test_ldadd)

tests_unit_support_os_pages_SOURCES = tests/unit/support/os_pages.c tests/unit/support/unit.h
tests_unit_support_os_pages_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_os_pages_LDADD = $(support_test_ldadd)

tests_unit_support_os_unmap_SOURCES = tests/unit/support/os_unmap.c tests/unit/support/unit.h
tests_unit_support_os_unmap_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_os_unmap_LDADD = $(support_test_ldadd)

tests_unit_support_pages_SOURCES = tests/unit/support/pages.c $(strict_source)
tests_unit_support_pages_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_pages_LDADD = $(support_test_ldadd)

tests_unit_support_pages_lazy_SOURCES = tests/unit/support/pages_lazy.c $(strict_source)
tests_unit_support_pages_lazy_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_pages_lazy_LDADD = $(support_test_ldadd)

magazine_test_sources = tests/unit/support/magazine_fixture.h libzpool/support/magazine.c $(strict_source)

tests_unit_support_magazine_SOURCES = tests/unit/support/magazine.c $(magazine_test_sources)
tests_unit_support_magazine_CPPFLAGS = $(support_test_cppflags) -Dzp_biased_barrier=counted_barrier
tests_unit_support_magazine_LDADD = $(support_test_ldadd)

tests_unit_support_magazine_shared_SOURCES = tests/unit/support/magazine_shared.c $(magazine_test_sources)
tests_unit_support_magazine_shared_CPPFLAGS = $(support_test_cppflags) -Dzp_biased_barrier=counted_barrier
tests_unit_support_magazine_shared_LDADD = $(support_test_ldadd)

tests_unit_support_table_SOURCES = tests/unit/support/table.c $(strict_source)
tests_unit_support_table_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_table_LDADD = $(support_test_ldadd)

handles_test_sources = $(strict_source) tests/unit/support/handles_fixture.h

tests_unit_support_handles_SOURCES = tests/unit/support/handles.c $(handles_test_sources)
tests_unit_support_handles_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_handles_LDADD = $(support_test_ldadd)

tests_unit_support_handles_shared_SOURCES = tests/unit/support/handles_shared.c $(handles_test_sources)
tests_unit_support_handles_shared_CPPFLAGS = $(support_test_cppflags)
tests_unit_support_handles_shared_LDADD = $(support_test_ldadd)

# The same tests with the handle layout of 32-bit machines, for which the handle table is compiled again.
handles_narrow_sources = $(handles_test_sources) libzpool/support/handles.c libzpool/support/handles_groups.c

tests_unit_support_handles_narrow_SOURCES = tests/unit/support/handles.c $(handles_narrow_sources)
tests_unit_support_handles_narrow_CPPFLAGS = $(support_test_cppflags) -DZP_HANDLE_NARROW=1
tests_unit_support_handles_narrow_LDADD = $(support_test_ldadd)

tests_unit_support_handles_shared_narrow_SOURCES = tests/unit/support/handles_shared.c $(handles_narrow_sources)
tests_unit_support_handles_shared_narrow_CPPFLAGS = $(support_test_cppflags) -DZP_HANDLE_NARROW=1
tests_unit_support_handles_shared_narrow_LDADD = $(support_test_ldadd)

plugin_test_cppflags = $(support_test_cppflags) -I$(top_srcdir)/plugins/zbud -I$(top_srcdir)/plugins/zsmalloc
plugin_test_cppflags += -I$(top_srcdir)/plugins/zblock
zbud_test_sources = $(plugins_zbud_la_SOURCES) tests/unit/plugins/harness.h tests/unit/plugins/zbud_fixture.h \
	tests/unit/support/unit.h

tests_unit_plugins_evict_fork_SOURCES = tests/unit/plugins/evict_fork.c $(plugins_zbud_la_SOURCES) \
	$(plugins_z3fold_la_SOURCES) $(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_evict_fork_CPPFLAGS = $(plugin_test_cppflags) -I$(top_srcdir)/plugins/z3fold
tests_unit_plugins_evict_fork_LDADD = $(support_test_ldadd)

tests_unit_plugins_libc_SOURCES = tests/unit/plugins/libc.c $(plugins_libc_la_SOURCES) \
	tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_libc_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_libc_LDADD = $(support_test_ldadd)

tests_unit_plugins_promises_SOURCES = tests/unit/plugins/promises.c $(zbud_test_sources)
tests_unit_plugins_promises_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_promises_LDADD = $(support_test_ldadd)

tests_unit_plugins_room_SOURCES = tests/unit/plugins/room.c $(plugins_zbud_la_SOURCES) $(plugins_zblock_la_SOURCES) \
	tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_room_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_room_LDADD = $(support_test_ldadd)
tests_unit_plugins_room_LDFLAGS = $(AM_LDFLAGS) -Wl,--wrap=zp_pages_put,--wrap=zp_lock_contended,--wrap=zp_backoff_wait

tests_unit_plugins_trace_SOURCES = tests/unit/plugins/trace.c tests/unit/support/unit.h \
	plugins/trace/trace.h plugins/trace/trace_file.c \
	plugins/trace/trace_objects.c plugins/trace/trace_writer.c
tests_unit_plugins_trace_CPPFLAGS = $(plugin_test_cppflags) -DTRACE_WAIT_MS=50 -I$(top_srcdir)/plugins/trace
tests_unit_plugins_trace_LDADD = $(support_test_ldadd)

tests_unit_plugins_zblock_SOURCES = tests/unit/plugins/zblock.c tests/unit/plugins/zblock_fixture.h \
	tests/unit/plugins/zblock_caches.c tests/unit/plugins/zblock_damage.c tests/unit/plugins/zblock_pool.c \
	tests/unit/plugins/zblock_threads.c \
	$(plugins_zblock_la_SOURCES) tests/unit/plugins/harness.h $(strict_source)
tests_unit_plugins_zblock_CPPFLAGS = $(plugin_test_cppflags) -DUNIT_TRACES='"$(abs_top_srcdir)/tests/traces"'
tests_unit_plugins_zblock_LDADD = $(support_test_ldadd)

tests_unit_plugins_zbud_SOURCES = tests/unit/plugins/zbud.c $(zbud_test_sources) \
	tests/unit/support/strict_source.c tests/unit/support/strict_source.h
tests_unit_plugins_zbud_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zbud_LDADD = $(support_test_ldadd)

tests_unit_plugins_zbud_caches_SOURCES = tests/unit/plugins/zbud_caches.c $(zbud_test_sources)
tests_unit_plugins_zbud_caches_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zbud_caches_LDADD = $(support_test_ldadd)

tests_unit_plugins_zbud_shrink_SOURCES = tests/unit/plugins/zbud_shrink.c $(zbud_test_sources)
tests_unit_plugins_zbud_shrink_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zbud_shrink_LDADD = $(support_test_ldadd)

tests_unit_plugins_z3fold_SOURCES = tests/unit/plugins/z3fold.c tests/unit/plugins/z3fold_fixture.h \
	tests/unit/plugins/z3fold_damage.c tests/unit/plugins/z3fold_moves.c tests/unit/plugins/z3fold_shrink.c \
	tests/unit/plugins/z3fold_threads.c \
	$(plugins_z3fold_la_SOURCES) $(strict_source) tests/unit/plugins/harness.h
tests_unit_plugins_z3fold_CPPFLAGS = $(plugin_test_cppflags) -I$(top_srcdir)/plugins/z3fold
tests_unit_plugins_z3fold_LDADD = $(support_test_ldadd)

tests_unit_plugins_zsmalloc_SOURCES = tests/unit/plugins/zsmalloc.c tests/unit/plugins/zsmalloc_fixture.h \
	tests/unit/plugins/zsmalloc_threads.c $(plugins_zsmalloc_la_SOURCES) \
	tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_LDADD = $(support_test_ldadd)

tests_unit_plugins_zsmalloc_holes_SOURCES = tests/unit/plugins/zsmalloc_holes.c tests/unit/plugins/zsmalloc_fixture.h \
	$(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_holes_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_holes_LDADD = $(support_test_ldadd)
tests_unit_plugins_zsmalloc_maps_SOURCES = tests/unit/plugins/zsmalloc_maps.c tests/unit/plugins/zsmalloc_fixture.h \
	$(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_maps_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_maps_LDADD = $(support_test_ldadd)
tests_unit_plugins_zsmalloc_pinned_SOURCES = tests/unit/plugins/zsmalloc_pinned.c tests/unit/plugins/zsmalloc_fixture.h \
	$(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_pinned_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_pinned_LDADD = $(support_test_ldadd)
tests_unit_plugins_zsmalloc_retired_SOURCES = tests/unit/plugins/zsmalloc_retired.c tests/unit/plugins/zsmalloc_fixture.h \
	$(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_retired_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_retired_LDADD = $(support_test_ldadd)
tests_unit_plugins_zsmalloc_room_SOURCES = tests/unit/plugins/zsmalloc_room.c tests/unit/plugins/zsmalloc_fixture.h \
	$(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_room_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_room_LDADD = $(support_test_ldadd)

tests_unit_plugins_zsmalloc_settle_SOURCES = tests/unit/plugins/zsmalloc_settle.c tests/unit/plugins/zsmalloc_fixture.h \
	$(plugins_zsmalloc_la_SOURCES) tests/unit/plugins/harness.h tests/unit/support/unit.h
tests_unit_plugins_zsmalloc_settle_CPPFLAGS = $(plugin_test_cppflags)
tests_unit_plugins_zsmalloc_settle_LDADD = $(support_test_ldadd)
endif
