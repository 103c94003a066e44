# SPDX-License-Identifier: MIT
#
# One macro for each of the project's own configure switches.

# ZPOOL_TRY_FLAG(VARIABLE, FLAG): add FLAG to VARIABLE if the compiler and linker take it without a warning.
AC_DEFUN([ZPOOL_TRY_FLAG], [
	AS_VAR_PUSHDEF([cachevar], [zpool_cv_flag_$2])
	AC_CACHE_CHECK([whether $CC takes $2], [cachevar], [
		zpool_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS -Werror $2"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <string.h>]], [[char b[16]; memset(b, 0, sizeof b); return b[1];]])],
			[AS_VAR_SET([cachevar], [yes])], [AS_VAR_SET([cachevar], [no])])
		CFLAGS=$zpool_save_CFLAGS])
	AS_VAR_IF([cachevar], [yes], [AS_VAR_APPEND([$1], [" $2"])])
	AS_VAR_POPDEF([cachevar])])

# Threads need no check, because every supported C library has them with -pthread.
AC_DEFUN([ZPOOL_THREADS], [
	AC_SUBST([PTHREAD_CFLAGS], [-pthread])
	AC_SUBST([PTHREAD_LIBS], [-pthread])])

AC_DEFUN([ZPOOL_WARNINGS], [
	AC_ARG_ENABLE([werror], [AS_HELP_STRING([--enable-werror], [make every warning an error])])
	WARN_CFLAGS=
	m4_foreach_w([zpool_each], [-Wall -Wextra -Wpedantic -Wshadow -Wpointer-arith -Wcast-align -Wwrite-strings
		-Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition -Wundef -Wformat=2 -Wvla
		-Wimplicit-fallthrough -Wnull-dereference -Wredundant-decls -Wnested-externs],
		[ZPOOL_TRY_FLAG([WARN_CFLAGS], m4_quote(zpool_each))])
	AS_IF([test "$enable_werror" = yes], [WARN_CFLAGS="$WARN_CFLAGS -Werror"])
	AC_SUBST([WARN_CFLAGS])])

AC_DEFUN([ZPOOL_HARDENING], [
	AC_ARG_ENABLE([hardening],
		[AS_HELP_STRING([--disable-hardening], [no stack protector or clash protection, no CET or BTI, no fortified libc calls, no full RELRO])],
		[], [enable_hardening=yes])
	HARDEN_CFLAGS= HARDEN_LDFLAGS=
	AS_IF([test "$enable_hardening" = yes], [
		m4_foreach_w([zpool_each], [-fstack-protector-strong -fstack-clash-protection -fcf-protection
			-mbranch-protection=standard],
			[ZPOOL_TRY_FLAG([HARDEN_CFLAGS], m4_quote(zpool_each))])
		dnl Fortification needs the optimiser, and hides errors from sanitizers.
		AS_CASE([$CFLAGS], [*-O@<:@123s@:>@*], [AS_IF([test -z "$enable_sanitizer"],
			[HARDEN_CFLAGS="$HARDEN_CFLAGS -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=2"])])
		m4_foreach_w([zpool_each], [-Wl,-z,relro -Wl,-z,now -Wl,-z,noexecstack],
			[ZPOOL_TRY_FLAG([HARDEN_LDFLAGS], m4_quote(zpool_each))])])
	AC_SUBST([HARDEN_CFLAGS])
	AC_SUBST([HARDEN_LDFLAGS])])

# --enable-sanitizer=LIST builds the library, plugins, tools and tests with -fsanitize=LIST.
AC_DEFUN([ZPOOL_SANITIZER], [
	AC_ARG_ENABLE([sanitizer],
		[AS_HELP_STRING([--enable-sanitizer=LIST], [build with -fsanitize=LIST, such as address,undefined or thread])],
		[AS_CASE([$enableval], [no], [enable_sanitizer=],
			[yes], [AC_MSG_ERROR([--enable-sanitizer needs a list, such as address,undefined])])])
	SANITIZER_CFLAGS=
	AS_IF([test -n "$enable_sanitizer"], [
		SANITIZER_CFLAGS="-fsanitize=$enable_sanitizer -fno-omit-frame-pointer -fno-sanitize-recover=all -g"
		zpool_save_CFLAGS=$CFLAGS
		CFLAGS="$CFLAGS $SANITIZER_CFLAGS"
		AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [],
			[AC_MSG_ERROR([$CC cannot link with -fsanitize=$enable_sanitizer])])
		CFLAGS=$zpool_save_CFLAGS])
	AC_SUBST([SANITIZER_CFLAGS])
	AM_CONDITIONAL([SANITIZE_THREAD], [AS_CASE([$enable_sanitizer], [*thread*], [true], [false])])
	AM_CONDITIONAL([SANITIZE], [test -n "$enable_sanitizer"])])

AC_DEFUN([ZPOOL_COVERAGE], [
	AC_ARG_ENABLE([coverage],
		[AS_HELP_STRING([--enable-coverage], [count executed lines; `make coverage' then writes a report])])
	COVERAGE_CFLAGS=
	AS_IF([test "$enable_coverage" = yes], [COVERAGE_CFLAGS="--coverage -O0 -g -fprofile-update=atomic -DZPOOL_COVERAGE=1"])
	AC_SUBST([COVERAGE_CFLAGS])
	AM_CONDITIONAL([ENABLE_COVERAGE], [test "$enable_coverage" = yes])])

# The macro is defined on the command line and not in config.h: locks are larger in such a build, so every file that
# uses the support library must see the same value.
AC_DEFUN([ZPOOL_ARG_DEBUG_CHECKS], [
	AC_ARG_ENABLE([debug-checks],
		[AS_HELP_STRING([--enable-debug-checks], [verify drivers' invariants at run time; slow])])
	DEBUG_CPPFLAGS=
	AS_IF([test "$enable_debug_checks" = yes], [DEBUG_CPPFLAGS=-DZPOOL_DEBUG_CHECKS=1])
	AC_SUBST([DEBUG_CPPFLAGS])
	AM_CONDITIONAL([DEBUG_CHECKS], [test "$enable_debug_checks" = yes])])

# A host's thread may have a stack of 16 KiB, of which libzpool's functions and a plugin's must not use much.
# Sanitizers and builds without optimisation have larger frames.
AC_DEFUN([ZPOOL_STACK_WARNING], [
	STACK_CFLAGS=
	AS_IF([test -z "$enable_sanitizer" && test "$enable_coverage" != yes],
		[AS_CASE([$CFLAGS], [*-O@<:@123s@:>@*], [ZPOOL_TRY_FLAG([STACK_CFLAGS], [-Wframe-larger-than=2048])])])
	AC_SUBST([STACK_CFLAGS])])

# The linker flags of the shared library and of the plugins.
AC_DEFUN([ZPOOL_LINK_FLAGS], [
	LIB_LDFLAGS= PLUGIN_LDFLAGS= VERSION_SCRIPT_LDFLAGS=
	ZPOOL_TRY_FLAG([LIB_LDFLAGS], [-Wl,-z,nodelete])
	ZPOOL_TRY_FLAG([PLUGIN_LDFLAGS], [-Wl,-z,now])
	dnl The symbols of a sanitizer's runtime are defined in the program, so -z defs would fail.
	AS_IF([test -z "$enable_sanitizer"], [
		ZPOOL_TRY_FLAG([LIB_LDFLAGS], [-Wl,-z,defs])
		ZPOOL_TRY_FLAG([PLUGIN_LDFLAGS], [-Wl,-z,defs])])
	zpool_save_LDFLAGS=$LDFLAGS
	echo '{ global: main; local: *; };' > conftest.map
	LDFLAGS="$LDFLAGS -Wl,--version-script=conftest.map"
	AC_CACHE_CHECK([whether the linker takes a version script], [zpool_cv_version_script],
		[AC_LINK_IFELSE([AC_LANG_PROGRAM([], [])], [zpool_cv_version_script=yes], [zpool_cv_version_script=no])])
	LDFLAGS=$zpool_save_LDFLAGS
	rm -f conftest.map
	AM_CONDITIONAL([HAVE_VERSION_SCRIPT], [test "$zpool_cv_version_script" = yes])
	AC_SUBST([LIB_LDFLAGS])
	AC_SUBST([PLUGIN_LDFLAGS])])

# Libtool cannot link a library to another one of the same build if the path of the build tree has a blank: it writes
# the path into the .la file and then reads it as two. There, the linker gets the shared libraries from LINK_LIBZPOOL and
# LINK_STORE without libtool's knowledge, and RPATH_LIBDIR makes the installed libraries find each other.
AC_DEFUN([ZPOOL_BUILD_PATH], [
	LINK_LIBZPOOL=libzpool/libzpool.la LINK_STORE=store/libzpool-store.la RPATH_LIBDIR= zpool_blank=no
	AS_CASE([`pwd`], [*@<:@@<:@:space:@:>@@:>@*], [
		LINK_LIBZPOOL= LINK_STORE= zpool_blank=yes
		AS_IF([test "$enable_shared" = yes], [
			LINK_LIBZPOOL=-Wl,libzpool/.libs/libzpool.so
			LINK_STORE=-Wl,store/.libs/libzpool-store.so
			RPATH_LIBDIR='-Wl,-rpath,$(libdir)'])])
	AM_CONDITIONAL([BLANK_BUILD_PATH], [test $zpool_blank = yes])
	AC_SUBST([LINK_LIBZPOOL])
	AC_SUBST([LINK_STORE])
	AC_SUBST([RPATH_LIBDIR])])

# Tools that only the tests use: readelf, and a C++ compiler for the test of the headers, which may be missing.
AC_DEFUN([ZPOOL_TEST_TOOLS], [
	AC_ARG_VAR([CXX], [C++ compiler, for a test of the headers])
	AC_CHECK_TOOLS([CXX], [c++ g++ clang++])
	AC_CHECK_TOOL([READELF], [readelf], [readelf])])

# The plugin of nbdkit is built if nbdkit's header is found, unless --without-nbdkit is given.
AC_DEFUN([ZPOOL_NBDKIT], [
	AC_ARG_WITH([nbdkit],
		[AS_HELP_STRING([--without-nbdkit], [do not build the plugin of nbdkit, even if nbdkit's header is there])],
		[], [with_nbdkit=check])
	AC_ARG_WITH([nbdkitplugindir],
		[AS_HELP_STRING([--with-nbdkitplugindir=DIR], [where the plugin of nbdkit is installed @<:@LIBDIR/nbdkit/plugins@:>@])],
		[nbdkitplugindir=$withval], [nbdkitplugindir='${libdir}/nbdkit/plugins'])
	AC_SUBST([nbdkitplugindir])
	PKG_CHECK_MODULES([LIBNBD], [libnbd >= 1.10], [have_libnbd=yes], [have_libnbd=no])
	AS_IF([test "$have_libnbd" = yes], [AC_DEFINE([HAVE_LIBNBD], [1], [Define if libnbd was found.])])
	nbdkit_missing=
	AS_IF([test "$with_nbdkit" = no], [nbdkit_missing="--without-nbdkit"],
		[test "$enable_store" = no], [nbdkit_missing="--disable-store"],
		[PKG_CHECK_MODULES([NBDKIT], [nbdkit >= 1.30], [],
			[nbdkit_missing="nbdkit 1.30 or later was not found; Debian: nbdkit-plugin-dev"])])
	dnl A test links the sources of the plugin into a program, even where the plugin is not built.
	AM_CONDITIONAL([HAVE_NBDKIT_HEADER], [test -z "$nbdkit_missing"])
	AS_IF([test -z "$nbdkit_missing" && test "$enable_shared" != yes], [nbdkit_missing="--disable-shared"])
	AS_IF([test -n "$nbdkit_missing" && test "$with_nbdkit" = yes],
		[AC_MSG_ERROR([the plugin of nbdkit cannot be built: $nbdkit_missing])])
	AS_IF([test -z "$nbdkit_missing"], [nbdkit_summary="plugin in $nbdkitplugindir, libnbd $have_libnbd"],
		[nbdkit_summary="no plugin ($nbdkit_missing)"])
	AM_CONDITIONAL([HAVE_NBDKIT], [test -z "$nbdkit_missing"])
	AM_CONDITIONAL([HAVE_LIBNBD], [test "$have_libnbd" = yes])])

# LIB_FUZZING_ENGINE is what links a fuzzing engine, such as -fsanitize=fuzzer.  The name is that of OSS-Fuzz.
AC_DEFUN([ZPOOL_FUZZING_ENGINE], [
	AC_ARG_VAR([LIB_FUZZING_ENGINE], [what to link the programs of tests/fuzz with instead of their own main()])
	AM_CONDITIONAL([FUZZING_ENGINE], [test -n "$LIB_FUZZING_ENGINE"])])
