# tools: zpoolctl

if ENABLE_TOOLS
bin_PROGRAMS += tools/zpoolctl
dist_bashcompletion_DATA = tools/completion/zpoolctl

tools_zpoolctl_SOURCES = \
	tools/arguments.c \
	tools/bench/allocator.c tools/bench/allocator.h \
	tools/bench/bench.h \
	tools/bench/distribution.c \
	tools/bench/figures.c \
	tools/bench/histogram.c tools/bench/histogram.h \
	tools/bench/job.h \
	tools/bench/launch.c tools/bench/launch.h \
	tools/bench/machine.c tools/bench/machine.h \
	tools/bench/madvise.c tools/bench/madvise.h \
	tools/bench/measure.c \
	tools/bench/options.c \
	tools/bench/plan.c \
	tools/bench/plot.c \
	tools/bench/report.c tools/bench/report-csv.c tools/bench/report-json.c \
	tools/bench/run.c tools/bench/run.h \
	tools/bench/run-evict.c tools/bench/run-pair.c tools/bench/run-set.c tools/bench/run-stall.c \
	tools/bench/run-transfer.c \
	tools/bench/serve.c \
	tools/bench/sizes.c tools/bench/sizes.h \
	tools/bench/workload.c \
	tools/bench/zram.c tools/bench/zram.h \
	tools/check-report.c tools/check-report.h \
	tools/child.c tools/child.h \
	tools/clock.h \
	tools/cmd-bench.c \
	tools/cmd-check.c \
	tools/cmd-info.c \
	tools/cmd-list.c \
	tools/cmd-new.c \
	tools/cmd-replay.c \
	tools/cmd-store.c \
	tools/drivers.c tools/drivers.h \
	tools/image.c tools/image.h \
	tools/intake-files.c tools/intake-process.c tools/intake.h \
	tools/interrupt.c tools/interrupt.h \
	tools/json.c tools/json.h \
	tools/message.c tools/message.h \
	tools/object.h \
	tools/output.c tools/output.h \
	tools/preload.c tools/preload.h \
	tools/probe.c tools/probe.h \
	tools/progress.c tools/progress.h \
	tools/project.c tools/project.h tools/template/template.h \
	tools/replay.c tools/replay-contents.c tools/replay-contents.h tools/replay-needs.c tools/replay-report.c \
	tools/replay.h \
	tools/rss.c tools/rss.h \
	tools/shipped.c tools/shipped.h \
	tools/sink.c tools/sink.h \
	tools/size.c tools/size.h \
	tools/spec.c tools/spec-files.c tools/spec.h \
	tools/spool.c tools/spool.h \
	tools/stats-report.c tools/stats-report.h \
	tools/store-options.c tools/store-plan.c tools/store-report.c tools/store-stats.c tools/store.h \
	tools/table.c tools/table.h \
	tools/text.c tools/text.h \
	tools/timed.c tools/timed.h \
	tools/trace-file.c tools/trace-records.c tools/trace-file.h \
	tools/trial.c tools/trial.h \
	tools/trial-stats.c tools/trial-stats.h \
	tools/units.c tools/units.h \
	tools/zpoolctl.c tools/zpoolctl.h
tools_zpoolctl_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)/store $(zpoolctl_preload_cppflags) \
	$(zpoolctl_coverage_cppflags)
tools_zpoolctl_CFLAGS = $(AM_CFLAGS) $(TOOLS_CFLAGS)
# The tool exports only its madvise(), with which `zpoolctl bench' counts calls.
tools_zpoolctl_LDFLAGS = $(AM_LDFLAGS) -export-dynamic $(zpoolctl_preload_ldflags)
tools_zpoolctl_LDADD = conformance/libconformance.a store/libzpool-store.la libzpool/libzpool.la $(TOOLS_LIBS) $(PTHREAD_LIBS) -lm

# Without shared libraries there are no plugins to load, so the drivers are linked into the tool.
if !ENABLE_SHARED
zpoolctl_preload_cppflags = -DZPOOLCTL_PRELOAD
zpoolctl_preload_ldflags = -static $(preload_plugins)
EXTRA_tools_zpoolctl_DEPENDENCIES = $(plugin_LTLIBRARIES) plugins/shipped.h
endif

# Child processes of the tool end by _exit().
if ENABLE_COVERAGE
tools_zpoolctl_SOURCES += tests/dist/counted-exit.c
zpoolctl_coverage_cppflags = -D_exit=counted_exit -Draise=counted_raise
endif
endif

# The files that `zpoolctl new' writes are part of the tool, so it does not have to find them at run time.
template_files = \
	tools/template/LICENSE.in \
	tools/template/Makefile.am.in \
	tools/template/README.md.in \
	tools/template/check.sh.in \
	tools/template/configure.ac.in \
	tools/template/driver.c.in \
	tools/template/filter.c.in \
	tools/template/gitignore-autotools.in \
	tools/template/gitignore.in \
	tools/template/project.mk.in \
	tools/template/roundtrip.c.in
EXTRA_DIST += $(template_files) tools/template/embed.awk

# The distributions of sizes that `zpoolctl bench' knows by name.
bench_traces = tests/traces/py.lz4.sizes tests/traces/py.zstd.sizes
EXTRA_DIST += tools/bench/sizes.awk tools/bench/standard.sh

if ENABLE_TOOLS
nodist_tools_zpoolctl_SOURCES = tools/template-data.c tools/bench/sizes-data.c
tools/bench/sizes-data.c: $(bench_traces) tools/bench/sizes.awk
	$(AM_V_GEN)$(MKDIR_P) tools/bench && (cd '$(srcdir)' && $(AWK) -f tools/bench/sizes.awk $(bench_traces)) >$@.tmp && \
	mv $@.tmp $@
CLEANFILES += tools/bench/sizes-data.c

# Measures the standard set and writes doc/benchmarks.md in the source tree. BENCH_FLAGS are passed to each run, for
# example `--objects 1000'.
BENCH_FLAGS =

bench: all
	$(AM_V_at)$(AM_TESTS_ENVIRONMENT) $(SHELL) $(top_srcdir)/tests/with-plugins \
		$(SHELL) $(top_srcdir)/tools/bench/standard.sh tools/zpoolctl '$(srcdir)/doc' $(BENCH_FLAGS)

tools/template-data.c: $(template_files) tools/template/embed.awk
	$(AM_V_GEN)$(MKDIR_P) tools && (cd '$(srcdir)' && $(AWK) -f tools/template/embed.awk $(template_files)) >$@.tmp && \
	mv $@.tmp $@
CLEANFILES += tools/template-data.c
else
bench:
	@echo '$@: this build has no zpoolctl; configure one without --disable-tools' >&2; exit 1
endif
.PHONY: bench
