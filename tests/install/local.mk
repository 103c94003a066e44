# SPDX-License-Identifier: MIT
#
# tests/install: what the package looks like from outside
#
# The scripts run from the top build directory, with the tools that configure found.

install_tests = \
	tests/install/headers.sh \
	tests/install/headers_cxx.sh \
	tests/install/kernel_names.sh \
	tests/install/symbols.sh \
	tests/install/hardening.sh \
	tests/install/plugins.sh \
	tests/install/version.sh \
	tests/install/closed_module.sh

EXTRA_DIST += $(install_tests) \
	tests/install/common.sh \
	tests/install/closed_module.c \
	tests/install/installed.sh \
	tests/install/host.c tests/install/store_host.c \
	tests/install/bump.c

TESTS += $(install_tests)

# Without plugins, the program has only its own driver, and is skipped.
check_PROGRAMS += tests/install/kernel_caller tests/install/kernel_caller_400
TESTS += tests/install/kernel_caller tests/install/kernel_caller_400
tests_install_kernel_caller_SOURCES = tests/install/kernel_caller.c
tests_install_kernel_caller_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)
# The same program, as a caller of a later kernel.
tests_install_kernel_caller_400_SOURCES = tests/install/kernel_caller.c
tests_install_kernel_caller_400_CPPFLAGS = $(AM_CPPFLAGS) -DZPOOL_KERNEL_NAMES=400
tests_install_kernel_caller_400_LDADD = libzpool/libzpool.la $(PTHREAD_LIBS)

if HAVE_CHECK
if ENABLE_STATIC
check_PROGRAMS += tests/install/static_host
TESTS += tests/install/static_host
tests_install_static_host_SOURCES = tests/install/static_host.c
tests_install_static_host_CFLAGS = $(AM_CFLAGS) $(CHECK_CFLAGS)
# Without -static, libtool would pass plugins to the linker as shared objects.
tests_install_static_host_LDFLAGS = $(AM_LDFLAGS) -static $(preload_drivers)
EXTRA_tests_install_static_host_DEPENDENCIES = $(plugin_drivers) plugins/shipped.h
tests_install_static_host_LDADD = libzpool/libzpool.la $(LTDL_LIBS) $(CHECK_LIBS) $(PTHREAD_LIBS)
endif
endif

if ENABLE_SHARED
installed_shared = yes
else
installed_shared = no
endif
if ENABLE_TOOLS
installed_tools = yes
else
installed_tools = no
endif

installcheck-local:
	srcdir='$(srcdir)' DESTDIR='$(DESTDIR)' libdir='$(libdir)' includedir='$(includedir)' \
	plugindir='$(plugindir)' bindir='$(bindir)' mandir='$(mandir)' ABI_MAJOR='$(ZPOOL_ABI_MAJOR)' \
	installed_filters='$(plugin_filters:plugins/%.la=%)' \
	PACKAGE_VERSION='$(PACKAGE_VERSION)' enable_shared=$(installed_shared) enable_tools=$(installed_tools) enable_store=$(install_store) \
	CC='$(CC)' NM='$(NM)' READELF='$(READELF)' PKG_CONFIG='$(PKG_CONFIG)' \
	EXTRA_CFLAGS='$(PTHREAD_CFLAGS) $(SANITIZER_CFLAGS) $(COVERAGE_CFLAGS)' $(SHELL) '$(srcdir)/tests/install/installed.sh'
