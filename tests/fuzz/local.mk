# The fuzz targets.  fuzz.h describes how a target is linked and run; fuzz.sh is behind `make fuzz'.

fuzz_support = tests/fuzz/fuzz.c tests/fuzz/fuzz.h
fuzz_cppflags = $(AM_CPPFLAGS) $(fuzz_preload_cppflags)
# An engine has a main() of its own, and its flags are those of the program that it is linked into.
if FUZZING_ENGINE
fuzz_ldflags = $(AM_LDFLAGS) $(LIB_FUZZING_ENGINE) $(fuzz_preload_ldflags)
else
fuzz_support += tests/fuzz/main.c
fuzz_ldflags = $(AM_LDFLAGS) $(fuzz_preload_ldflags)
endif
# Without shared libraries there are no plugins to load, so the drivers are linked into the targets.
if !ENABLE_SHARED
fuzz_preload_cppflags = -DZPOOLCTL_PRELOAD
fuzz_preload_ldflags = -static $(preload_plugins)
fuzz_dependencies = $(plugin_LTLIBRARIES)
endif
fuzz_stack = tests/fuzz/stack.c tests/fuzz/stack.h tools/preload.c tools/preload.h
fuzz_trace_file = tools/trace-file.c tools/trace-records.c tools/trace-file.h

fuzz_targets = tests/fuzz/elf tests/fuzz/ops tests/fuzz/spec tests/fuzz/trace
if ENABLE_STORE
fuzz_targets += tests/fuzz/store
endif
if HAVE_NBDKIT_HEADER
fuzz_targets += tests/fuzz/nbd
endif
check_PROGRAMS += $(fuzz_targets)
TESTS += $(fuzz_targets)

tests_fuzz_elf_SOURCES = tests/fuzz/elf.c $(fuzz_support) conformance/module.c conformance/module.h
tests_fuzz_elf_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_elf_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_elf_LDADD = libzpool/libzpcore.la $(PTHREAD_LIBS)
EXTRA_tests_fuzz_elf_DEPENDENCIES = $(fuzz_dependencies)

tests_fuzz_ops_SOURCES = tests/fuzz/ops.c tests/fuzz/ops-model.c tests/fuzz/ops-model.h tests/fuzz/source.c \
	tests/fuzz/source.h $(fuzz_support) $(fuzz_stack) $(fuzz_trace_file)
tests_fuzz_ops_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_ops_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_ops_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)
EXTRA_tests_fuzz_ops_DEPENDENCIES = $(fuzz_dependencies)

tests_fuzz_spec_SOURCES = tests/fuzz/spec.c tests/fuzz/no-tool.c $(fuzz_support) tools/preload.c tools/preload.h \
	tools/shipped.c tools/shipped.h tools/spec.c tools/spec-files.c tools/spec.h
tests_fuzz_spec_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_spec_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_spec_LDADD = libzpool/libzpcore.la $(PTHREAD_LIBS)
EXTRA_tests_fuzz_spec_DEPENDENCIES = $(fuzz_dependencies)

tests_fuzz_trace_SOURCES = tests/fuzz/trace.c tests/fuzz/trace-compose.c tests/fuzz/trace-compose.h \
	tests/fuzz/trace-replay.h $(fuzz_support) $(fuzz_stack) $(fuzz_trace_file)
tests_fuzz_trace_CPPFLAGS = $(fuzz_cppflags)
tests_fuzz_trace_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_trace_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)
EXTRA_tests_fuzz_trace_DEPENDENCIES = $(fuzz_dependencies)
if ENABLE_TOOLS
tests_fuzz_trace_SOURCES += tests/fuzz/trace-replay.c tests/fuzz/no-tool.c tools/replay.c tools/replay-contents.c \
	tools/replay-needs.c tools/replay.h tools/replay-contents.h tools/size.c tools/size.h tools/spec.c \
	tools/spec-files.c tools/spec.h
tests_fuzz_trace_CPPFLAGS += -DFUZZ_REPLAY
tests_fuzz_trace_CFLAGS = $(AM_CFLAGS) $(TOOLS_CFLAGS)
endif

tests_fuzz_store_SOURCES = tests/fuzz/store.c tests/fuzz/store-model.c tests/fuzz/store-model.h tests/store/image.c \
	tests/store/image.h $(fuzz_support) $(fuzz_stack)
tests_fuzz_store_CPPFLAGS = $(fuzz_cppflags) -I$(top_srcdir)/store
tests_fuzz_store_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_store_LDADD = store/libzpool-store.la libzpool/libzpool.la $(PTHREAD_LIBS)
EXTRA_tests_fuzz_store_DEPENDENCIES = $(fuzz_dependencies)

tests_fuzz_nbd_SOURCES = tests/fuzz/nbd.c tests/fuzz/nbd-remote.c tests/fuzz/nbd-remote.h \
	tests/fuzz/nbdkit-server.c tests/fuzz/nbdkit-server.h $(fuzz_support) \
	$(fuzz_stack) $(nbdkit_plugin_sources)
tests_fuzz_nbd_CPPFLAGS = $(fuzz_cppflags) -I$(top_srcdir)/store
tests_fuzz_nbd_CFLAGS = $(AM_CFLAGS) $(NBDKIT_CFLAGS) $(LIBNBD_CFLAGS)
tests_fuzz_nbd_LDFLAGS = $(fuzz_ldflags)
tests_fuzz_nbd_LDADD = store/libzpool-store.la libzpool/libzpool.la $(LIBNBD_LIBS) $(PTHREAD_LIBS)
EXTRA_tests_fuzz_nbd_DEPENDENCIES = $(fuzz_dependencies)

EXTRA_DIST += tests/fuzz/corpus tests/fuzz/fuzz.sh

# The targets to run, the seconds that they share, and more options for the engine.
FUZZ_SECONDS = 60
FUZZ_TARGETS = $(fuzz_targets:tests/fuzz/%=%)
FUZZ_FLAGS =

.PHONY: fuzz fuzz-afl fuzz-minimise
fuzz fuzz-afl fuzz-minimise:
	FUZZ_SECONDS='$(FUZZ_SECONDS)' FUZZ_TARGETS='$(FUZZ_TARGETS)' FUZZ_FLAGS='$(FUZZ_FLAGS)' \
		$(SHELL) '$(srcdir)/tests/fuzz/fuzz.sh' '$(srcdir)' '$@'

CLEANFILES += fuzz-elf.input fuzz-nbd.input fuzz-ops.input fuzz-spec.input fuzz-store.input fuzz-trace.input
