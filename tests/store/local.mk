# These are the tests of libzpool-store, which run on every shipped driver.

if HAVE_CHECK
if ENABLE_STORE
store_tests = tests/store/store tests/store/arguments tests/store/threads tests/store/backing tests/store/faults tests/store/crash tests/store/checksum tests/store/recompress tests/store/pressure tests/store/dictionary tests/store/training \
	tests/store/room tests/store/index tests/store/together tests/store/cancel tests/store/small_stack tests/store/heap
check_PROGRAMS += $(store_tests)
TESTS += $(store_tests)

store_test_ldadd = store/libzpool-store.la libzpool/libzpool.la $(CHECK_LIBS) $(PTHREAD_LIBS)

tests_store_store_SOURCES = tests/store/store.c tests/store/drivers.h
tests_store_store_CPPFLAGS = $(store_cppflags)
tests_store_store_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_store_LDADD = $(store_test_ldadd)

tests_store_arguments_SOURCES = tests/store/arguments.c
tests_store_arguments_CPPFLAGS = $(store_cppflags)
tests_store_arguments_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_arguments_LDADD = $(store_test_ldadd)

tests_store_pressure_SOURCES = tests/store/pressure.c tests/store/image.c tests/store/image.h
tests_store_pressure_CPPFLAGS = $(store_cppflags)
tests_store_pressure_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_pressure_LDADD = $(store_test_ldadd)

tests_store_dictionary_SOURCES = \
	tests/store/dictionary.c \
	tests/store/documents.c tests/store/documents.h \
	tests/store/drivers.h \
	tests/store/image.c tests/store/image.h
tests_store_dictionary_CPPFLAGS = $(store_cppflags)
tests_store_dictionary_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_dictionary_LDADD = $(store_test_ldadd)

tests_store_training_SOURCES = tests/store/training.c tests/store/documents.c tests/store/documents.h
tests_store_training_CPPFLAGS = $(store_cppflags)
tests_store_training_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_training_LDADD = $(store_test_ldadd)

tests_store_recompress_SOURCES = tests/store/recompress.c tests/store/drivers.h tests/store/image.c tests/store/image.h
tests_store_recompress_CPPFLAGS = $(store_cppflags)
tests_store_recompress_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_recompress_LDADD = $(store_test_ldadd)

tests_store_room_SOURCES = tests/store/room.c tests/store/drivers.h tests/store/image.c tests/store/image.h
tests_store_room_CPPFLAGS = $(store_cppflags)
tests_store_room_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_room_LDADD = $(store_test_ldadd)

tests_store_index_SOURCES = tests/store/index.c
tests_store_index_CPPFLAGS = $(store_cppflags)
tests_store_index_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_index_LDADD = $(store_test_ldadd)

tests_store_heap_SOURCES = tests/store/heap.c tests/store/image.c tests/store/image.h
tests_store_heap_CPPFLAGS = $(store_cppflags)
tests_store_heap_LDADD = $(store_test_ldadd)

tests_store_together_SOURCES = tests/store/together.c tests/store/image.c tests/store/image.h
tests_store_together_CPPFLAGS = $(store_cppflags)
tests_store_together_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_together_LDADD = $(store_test_ldadd)

tests_store_threads_SOURCES = tests/store/threads.c tests/store/drivers.h tests/store/image.c tests/store/image.h
tests_store_threads_CPPFLAGS = $(store_cppflags)
tests_store_threads_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_threads_LDADD = $(store_test_ldadd)

tests_store_checksum_SOURCES = tests/store/checksum.c tests/store/image.c tests/store/image.h
tests_store_checksum_CPPFLAGS = $(store_cppflags)
tests_store_checksum_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_checksum_LDADD = $(store_test_ldadd)

tests_store_cancel_SOURCES = tests/store/cancel.c tests/store/drivers.h
tests_store_cancel_CPPFLAGS = $(store_cppflags) -DTEST_EXPORT_MAP='"$(abs_top_srcdir)/store/libzpool-store.map"'
tests_store_cancel_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_cancel_LDADD = $(store_test_ldadd)

tests_store_small_stack_SOURCES = tests/store/small_stack.c tests/store/drivers.h tests/unit/small_stack.h
tests_store_small_stack_CPPFLAGS = $(store_cppflags)
tests_store_small_stack_LDADD = store/libzpool-store.la libzpool/libzpool.la $(PTHREAD_LIBS)

tests_store_crash_SOURCES = tests/store/crash.c tests/store/drivers.h
tests_store_crash_CPPFLAGS = $(store_cppflags)
tests_store_crash_LDADD = store/libzpool-store.la libzpool/libzpool.la
crash_tests += tests/store/crash

tests_store_faults_SOURCES = tests/store/faults.c tests/store/image.c tests/store/image.h
tests_store_faults_CPPFLAGS = $(store_cppflags)
tests_store_faults_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_faults_LDADD = $(store_test_ldadd)

tests_store_backing_SOURCES = tests/store/backing.c tests/store/drivers.h tests/store/image.c tests/store/image.h
tests_store_backing_CPPFLAGS = $(store_cppflags)
tests_store_backing_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
tests_store_backing_LDADD = $(store_test_ldadd)
endif
endif
