# The library has three directories: core may include loader and base, and loader may include base.

include_HEADERS = libzpool/zpool.h libzpool/zpool-driver.h libzpool/zpool-kernel.h
pkgconfigdir = $(libdir)/pkgconfig
pkgconfig_DATA = libzpool/libzpool.pc

lib_LTLIBRARIES += libzpool/libzpool.la

libzpool_sources = \
	libzpool/base/callback.c libzpool/base/callback.h \
	libzpool/base/env.c libzpool/base/env.h \
	libzpool/base/error.c libzpool/base/error.h \
	libzpool/base/log.c libzpool/base/log.h \
	libzpool/base/name.c libzpool/base/name.h \
	libzpool/base/patience.c libzpool/base/patience.h \
	libzpool/base/text.c libzpool/base/text.h \
	libzpool/loader/acl.c libzpool/loader/acl.h \
	libzpool/loader/dynamic.c libzpool/loader/dynamic.h \
	libzpool/loader/elf.c libzpool/loader/elf.h \
	libzpool/loader/inside.c libzpool/loader/inside.h \
	libzpool/loader/installed.c \
	libzpool/loader/judge.c libzpool/loader/judge.h \
	libzpool/loader/linker.c libzpool/loader/linker.h \
	libzpool/loader/loader.c libzpool/loader/loader.h \
	libzpool/loader/module.c libzpool/loader/module.h \
	libzpool/loader/needs.c libzpool/loader/needs.h \
	libzpool/loader/read.c libzpool/loader/read.h \
	libzpool/loader/search.c libzpool/loader/search.h \
	libzpool/loader/trust.c libzpool/loader/trust.h \
	libzpool/loader/userns.c libzpool/loader/userns.h \
	libzpool/core/calls.c libzpool/core/calls.h \
	libzpool/core/driver.c libzpool/core/driver.h \
	libzpool/core/dump.c \
	libzpool/core/each_param.c \
	libzpool/core/fork.c libzpool/core/fork.h \
	libzpool/core/inventory.c libzpool/core/inventory.h \
	libzpool/core/object.c \
	libzpool/core/open.c \
	libzpool/core/page_source.c libzpool/core/page_source.h \
	libzpool/core/param.c libzpool/core/param.h \
	libzpool/core/pool.h \
	libzpool/core/pools.c libzpool/core/pools.h \
	libzpool/core/properties.c \
	libzpool/core/reclaim.c \
	libzpool/core/registry.c libzpool/core/registry.h \
	libzpool/core/settings.c \
	libzpool/core/spec.c libzpool/core/spec.h \
	libzpool/core/stack.c libzpool/core/stack.h \
	libzpool/core/stats.c \
	libzpool/core/thread_exit.c libzpool/core/thread_exit.h \
	libzpool/core/too_large.c libzpool/core/too_large.h \
	libzpool/core/verify.c libzpool/core/verify.h \
	libzpool/core/version.c \
	libzpool/core/walk.c \
	libzpool/core/watched.c libzpool/core/watched.h

libzpool_cppflags = $(AM_CPPFLAGS) -DZPOOL_PLUGINDIR='"$(plugindir)"'

# A build for another plugin directory compiles the files again that have its name.
libzpool/loader/libzpcore_la-search.lo libzpool/loader/libzpcore_la-trust.lo: libzpool/plugindir
CLEANFILES += libzpool/plugindir
libzpool/plugindir: Makefile
	$(AM_V_at)echo '$(plugindir)' >$@.tmp && if cmp -s $@.tmp $@; then rm -f $@.tmp; else mv $@.tmp $@; fi

# The whole library without the export map, so that unit tests can call internal functions.
noinst_LTLIBRARIES += libzpool/libzpcore.la
libzpool_libzpcore_la_SOURCES = $(libzpool_sources)
libzpool_libzpcore_la_CPPFLAGS = $(libzpool_cppflags)
libzpool_libzpcore_la_CFLAGS = $(AM_CFLAGS) $(STACK_CFLAGS)
libzpool_libzpcore_la_LIBADD = $(LTDL_LIBS) $(PTHREAD_LIBS)

libzpool_libzpool_la_SOURCES =
libzpool_libzpool_la_LIBADD = libzpool/libzpcore.la $(LTDL_LIBS) $(PTHREAD_LIBS)
libzpool_libzpool_la_LDFLAGS = $(AM_LDFLAGS) $(LIB_LDFLAGS) -version-info $(ZPOOL_LT_VERSION) -no-undefined
EXTRA_libzpool_libzpool_la_DEPENDENCIES = libzpool/libzpool.map
if HAVE_VERSION_SCRIPT
libzpool_libzpool_la_LDFLAGS += -Wl,--version-script=$(top_srcdir)/libzpool/libzpool.map
endif

EXTRA_DIST += libzpool/libzpool.map
