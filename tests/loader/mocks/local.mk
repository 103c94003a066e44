# SPDX-License-Identifier: MIT
#
# tests/loader/mocks: plugins with one fault each, or with one trait that a test needs; the head of each source describes it

mock_modules = \
	tests/loader/mocks/a2345678901234567890123456789012.la \
	tests/loader/mocks/bad_alignment.la \
	tests/loader/mocks/bad_flag.la \
	tests/loader/mocks/bad_magic.la \
	tests/loader/mocks/bad_major.la \
	tests/loader/mocks/bad_max.la \
	tests/loader/mocks/bad_note_major.la \
	tests/loader/mocks/bad_note_type.la \
	tests/loader/mocks/bad_type.la \
	tests/loader/mocks/calls_zpool.la \
	tests/loader/mocks/chatty.la \
	tests/loader/mocks/copying.la \
	tests/loader/mocks/exit_hook.la \
	tests/loader/mocks/failing.la \
	tests/loader/mocks/filter.la \
	tests/loader/mocks/filter_greedy.la \
	tests/loader/mocks/filter_lazy.la \
	tests/loader/mocks/filter_leaky.la \
	tests/loader/mocks/filter_patient.la \
	tests/loader/mocks/forkable.la \
	tests/loader/mocks/good.la \
	tests/loader/mocks/good_v2.la \
	tests/loader/mocks/in_dependency.la \
	tests/loader/mocks/large_struct.la \
	tests/loader/mocks/links_zpool.la \
	tests/loader/mocks/my_drv.la \
	tests/loader/mocks/needs_late.la \
	tests/loader/mocks/needs_near.la \
	tests/loader/mocks/newer.la \
	tests/loader/mocks/no_access.la \
	tests/loader/mocks/no_create.la \
	tests/loader/mocks/no_delete.la \
	tests/loader/mocks/no_destroy.la \
	tests/loader/mocks/no_driver.la \
	tests/loader/mocks/no_free.la \
	tests/loader/mocks/no_malloc.la \
	tests/loader/mocks/no_note.la \
	tests/loader/mocks/no_total_size.la \
	tests/loader/mocks/null_type.la \
	tests/loader/mocks/odd_struct.la \
	tests/loader/mocks/older.la \
	tests/loader/mocks/only_map.la \
	tests/loader/mocks/only_unmap.la \
	tests/loader/mocks/other.la \
	tests/loader/mocks/param_choices.la \
	tests/loader/mocks/param_default.la \
	tests/loader/mocks/param_help.la \
	tests/loader/mocks/param_key.la \
	tests/loader/mocks/param_limit.la \
	tests/loader/mocks/param_size.la \
	tests/loader/mocks/param_table.la \
	tests/loader/mocks/param_twice.la \
	tests/loader/mocks/param_type.la \
	tests/loader/mocks/params.la \
	tests/loader/mocks/read_only_copy.la \
	tests/loader/mocks/resident.la \
	tests/loader/mocks/short_struct.la \
	tests/loader/mocks/undefined.la

# Some mocks depend on these libraries.
mock_libraries = \
	tests/loader/mocks/libdependency.la \
	tests/loader/mocks/liblate.la \
	tests/loader/mocks/libsupplement.la

check_LTLIBRARIES += $(mock_libraries) $(mock_modules)

# libtool builds a shared object only if -rpath is given; nothing is installed there.
mock_library_ldflags = $(AM_LDFLAGS) -avoid-version -rpath /nowhere
mock_ldflags = $(mock_library_ldflags) -module

tests_loader_mocks_libdependency_la_LDFLAGS = $(mock_library_ldflags)
tests_loader_mocks_liblate_la_LDFLAGS = $(mock_library_ldflags)
tests_loader_mocks_libsupplement_la_LDFLAGS = $(mock_library_ldflags)

tests_loader_mocks_a2345678901234567890123456789012_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_alignment_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_flag_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_magic_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_major_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_max_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_note_major_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_note_type_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_bad_type_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_calls_zpool_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_chatty_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_copying_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_exit_hook_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_failing_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_filter_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_filter_greedy_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_filter_lazy_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_filter_leaky_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_filter_patient_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_forkable_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_good_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_good_v2_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_large_struct_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_my_drv_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_newer_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_access_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_create_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_destroy_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_driver_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_free_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_malloc_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_note_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_no_total_size_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_null_type_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_odd_struct_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_older_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_only_map_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_only_unmap_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_other_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_choices_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_default_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_help_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_key_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_limit_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_size_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_table_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_twice_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_param_type_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_params_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_read_only_copy_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_resident_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_short_struct_la_LDFLAGS = $(mock_ldflags)
tests_loader_mocks_undefined_la_LDFLAGS = $(mock_ldflags)

# The linker gets the library's path, because libtool would add the build directory to the plugin's run path.
tests_loader_mocks_in_dependency_la_LDFLAGS = $(mock_ldflags) -Wl,tests/loader/mocks/.libs/libdependency.so
EXTRA_tests_loader_mocks_in_dependency_la_DEPENDENCIES = tests/loader/mocks/libdependency.la
tests_loader_mocks_links_zpool_la_LDFLAGS = $(mock_ldflags) -Wl,--no-as-needed,libzpool/.libs/libzpool.so
EXTRA_tests_loader_mocks_links_zpool_la_DEPENDENCIES = libzpool/libzpool.la
tests_loader_mocks_needs_late_la_LDFLAGS = $(mock_ldflags) -Wl,tests/loader/mocks/.libs/liblate.so
EXTRA_tests_loader_mocks_needs_late_la_DEPENDENCIES = tests/loader/mocks/liblate.la
tests_loader_mocks_no_delete_la_LDFLAGS = $(mock_ldflags) -Wl,-z,nodelete
# The linker gets $ORIGIN/near.
tests_loader_mocks_needs_near_la_LDFLAGS = $(mock_ldflags) -Wl,-rpath,'$$ORIGIN/near' -Wl,tests/loader/mocks/.libs/liblate.so
EXTRA_tests_loader_mocks_needs_near_la_DEPENDENCIES = tests/loader/mocks/liblate.la
