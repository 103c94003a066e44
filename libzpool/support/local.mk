# What drivers share: a convenience library that is linked into each plugin.

noinst_LTLIBRARIES += libzpool/support/libzpsupport.la

libzpool_support_libzpsupport_la_SOURCES = $(support_sources) libzpool/support/lock.c libzpool/support/yield.c
libzpool_support_libzpsupport_la_CFLAGS = $(AM_CFLAGS) $(STACK_CFLAGS)

# Without lock.c and yield.c, which a benchmark leaves as they are while it compiles these in its own way.
support_sources = \
	libzpool/support/account.h \
	libzpool/support/biased.c \
	libzpool/support/biased.h \
	libzpool/support/bits.c \
	libzpool/support/bits.h \
	libzpool/support/budget.c \
	libzpool/support/budget.h \
	libzpool/support/cancel.h \
	libzpool/support/counts.c \
	libzpool/support/counts.h \
	libzpool/support/create.c \
	libzpool/support/create.h \
	libzpool/support/filter.c \
	libzpool/support/filter.h \
	libzpool/support/handles.c \
	libzpool/support/handles.h \
	libzpool/support/handles_groups.c \
	libzpool/support/handles_internal.h \
	libzpool/support/list.h \
	libzpool/support/lock.h \
	libzpool/support/magazine.c \
	libzpool/support/magazine.h \
	libzpool/support/os_pages.c \
	libzpool/support/os_pages.h \
	libzpool/support/os_unmap.c \
	libzpool/support/os_unmap.h \
	libzpool/support/pages.c \
	libzpool/support/pages.h \
	libzpool/support/pages_chunk.c \
	libzpool/support/pages_internal.h \
	libzpool/support/pages_run.c \
	libzpool/support/pages_source.c \
	libzpool/support/secret.c \
	libzpool/support/secret.h \
	libzpool/support/signals.h \
	libzpool/support/table.c \
	libzpool/support/table.h \
	libzpool/support/trace_format.h \
	libzpool/support/yield.h

# The same, installed for drivers that are built elsewhere: position-independent, every symbol hidden, so that a plugin
# that links it exports nothing of it.  No libtool, which would want a shared library beside it.
# Without u, which the binutils of today only warn of.
ARFLAGS = cr
lib_LIBRARIES = libzpool/libzpool-support.a
libzpool_libzpool_support_a_SOURCES = $(libzpool_support_libzpsupport_la_SOURCES)
libzpool_libzpool_support_a_CFLAGS = $(AM_CFLAGS) $(STACK_CFLAGS) -fPIC

supportincludedir = $(includedir)/zpool-support
supportinclude_HEADERS = \
	libzpool/support/account.h \
	libzpool/support/biased.h \
	libzpool/support/bits.h \
	libzpool/support/budget.h \
	libzpool/support/cancel.h \
	libzpool/support/counts.h \
	libzpool/support/create.h \
	libzpool/support/filter.h \
	libzpool/support/handles.h \
	libzpool/support/list.h \
	libzpool/support/lock.h \
	libzpool/support/magazine.h \
	libzpool/support/os_pages.h \
	libzpool/support/pages.h \
	libzpool/support/secret.h \
	libzpool/support/signals.h \
	libzpool/support/table.h \
	libzpool/support/yield.h

pkgconfig_DATA += libzpool/libzpool-driver.pc
