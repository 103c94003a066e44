# Does the memory of a process that uses the library drift?
#
#   make soak [SECONDS=n] [DRIVERS='zsmalloc store'] [SOAK_FLAGS='--seed 1']
#
# writes soak.csv, and with gnuplot soak.svg.  `make check' runs one quick cycle, without a verdict.

if ENABLE_SHARED
check_PROGRAMS += tests/soak/soak
TESTS += tests/soak/soak
endif

tests_soak_soak_SOURCES = \
	tests/soak/gang.c \
	tests/soak/main.c \
	tests/soak/pool.c \
	tests/soak/report.c \
	tests/soak/sizes.c \
	tests/soak/soak.h \
	tests/soak/subject.c
tests_soak_soak_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_soak_soak_LDADD = conformance/libconformance.a libzpool/libzpool.la $(PTHREAD_LIBS)
if ENABLE_STORE
tests_soak_soak_SOURCES += tests/soak/store.c
tests_soak_soak_CPPFLAGS += -DSOAK_STORE
tests_soak_soak_LDADD += store/libzpool-store.la
endif

EXTRA_DIST += tests/soak/soak.gnuplot

SECONDS = 1800
DRIVERS =
SOAK_FLAGS =

.PHONY: soak
soak: tests/soak/soak$(EXEEXT) $(plugin_LTLIBRARIES)
	$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/with-plugins tests/soak/soak --seconds '$(SECONDS)' --csv soak.csv \
		$(SOAK_FLAGS) $(DRIVERS); \
	status=$$?; \
	if command -v gnuplot >/dev/null && gnuplot -c '$(srcdir)/tests/soak/soak.gnuplot' soak.csv >soak.svg; then \
		echo 'The plot is in soak.svg.'; \
	fi; \
	exit $$status

CLEANFILES += soak.csv soak.svg
