# Threads do everything to pools of all drivers and stacks at the same time.
#
#   make check-races [RACES_SECONDS=n] [RACES_FLAGS='--seed 1 --threads 200']
#
# `make check' runs it for some seconds of processor time.

if ENABLE_SHARED
check_PROGRAMS += tests/races/races
TESTS += tests/races/races

tests_races_races_SOURCES = \
	tests/races/actors.c \
	tests/races/evict.c \
	tests/races/main.c \
	tests/races/objects.c \
	tests/races/places.c \
	tests/races/process.c \
	tests/races/races.h \
	tests/races/roles.c \
	tests/races/watchdog.c
tests_races_races_CPPFLAGS = $(AM_CPPFLAGS) -I$(top_srcdir)
tests_races_races_LDADD = conformance/libconformance.a libzpool/libzpool.la $(PTHREAD_LIBS)

endif

RACES_SECONDS = 600
RACES_FLAGS =

.PHONY: check-races
check-races: tests/races/races $(plugin_LTLIBRARIES)
	$(AM_TESTS_ENVIRONMENT) $(top_srcdir)/tests/with-plugins tests/races/races --seconds $(RACES_SECONDS) $(RACES_FLAGS)
