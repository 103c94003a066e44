#!/bin/sh
# SPDX-License-Identifier: MIT
#
# installed.sh - make installcheck: test the installed package; only the test programs come from the source tree
#
# The environment must have the results of configure and the install directories, as checked below. DESTDIR may be
# empty. EXTRA_CFLAGS has the flags of a sanitizer.

set -u
. "${srcdir:?}/tests/install/common.sh"

: "${CC:?}" "${NM:?}" "${READELF:?}" "${PKG_CONFIG:?}" "${PACKAGE_VERSION:?}" "${ABI_MAJOR:?}" "${DESTDIR=}"
: "${libdir:?}" "${includedir:?}" "${plugindir:?}" "${bindir:?}" "${mandir:?}" "${enable_shared:?}" "${enable_tools:?}" "${enable_store:?}"
: "${installed_filters:?}"
make_scratch

# with_pkg_config COMMAND... - runs the command so that pkg-config finds only the installed .pc files, and puts DESTDIR
# before directories
with_pkg_config() {
    env PKG_CONFIG_LIBDIR="$DESTDIR$libdir/pkgconfig" PKG_CONFIG_PATH='' PKG_CONFIG_SYSROOT_DIR="$DESTDIR" \
        PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 "$@"
}

# pkg_config OPTION... - prints what libzpool.pc has
pkg_config() {
    with_pkg_config "$PKG_CONFIG" "$@" libzpool
}

# check_pc MODULE
check_pc() {
    PKG_CONFIG_LIBDIR=$DESTDIR$libdir/pkgconfig "$PKG_CONFIG" --print-errors --exists "$1" ||
        fail "pkg-config does not find $1"
    version=$(with_pkg_config "$PKG_CONFIG" --modversion "$1")
    [ "$version" = "$PACKAGE_VERSION" ] || fail "$1.pc has version $version, expected $PACKAGE_VERSION"
    for pair in "plugindir=$plugindir" "abi_major=$ABI_MAJOR" "includedir=$includedir" "libdir=$libdir"; do
        value=$(PKG_CONFIG_SYSROOT_DIR='' PKG_CONFIG_LIBDIR=$DESTDIR$libdir/pkgconfig \
            "$PKG_CONFIG" --variable="${pair%%=*}" "$1")
        [ "$value" = "${pair#*=}" ] || fail "$1.pc has ${pair%%=*}=$value, expected ${pair#*=}"
    done
}

# A plugin does not link with libzpool, so its .pc file must not ask for that.
check_driver_pc() {
    for option in $(with_pkg_config "$PKG_CONFIG" --static --libs libzpool-driver); do
        case $option in
        -L* | -lzpool-support) ;;
        *) fail "libzpool-driver.pc makes plugins link $option" ;;
        esac
    done
}

check_headers() {
    for header in zpool.h zpool-driver.h zpool-kernel.h; do
        cmp "$srcdir/libzpool/$header" "$DESTDIR$includedir/$header" || fail "the installed $header differs from the source"
    done
    for header in $(cd "$srcdir/libzpool/support" && find . -name '*.h' ! -name '*_internal.h' ! -name os_unmap.h ! -name trace_format.h | sed 's|^\./||'); do
        cmp "$srcdir/libzpool/support/$header" "$DESTDIR$includedir/zpool-support/$header" ||
            fail "the installed zpool-support/$header differs from the source"
        printf '#include <zpool-support/%s>\nextern int declared;\n' "$header" >"$scratch/support.c"
        # shellcheck disable=SC2046,SC2086 # lists of options
        run_cc -std=c11 -Wall -Wextra -Wpedantic -Werror $(with_pkg_config "$PKG_CONFIG" --cflags libzpool-driver) \
            -fsyntax-only "$scratch/support.c" || fail "zpool-support/$header does not compile alone"
    done
    others=$(cd "$DESTDIR$includedir" && find . -name 'zp*' ! -name zpool.h ! -name zpool-driver.h ! -name zpool-kernel.h \
        ! -name zpool-store.h ! -name zpool-support)
    [ -z "$others" ] || fail "private headers were installed: $others"
    others=$(cd "$DESTDIR$includedir/zpool-support" && find . -name '*_internal.h')
    [ -z "$others" ] || fail "private headers of the support library were installed: $others"
}

check_archive() {
    archive=$DESTDIR$libdir/libzpool-support.a
    wanted=$(run_nm -u "$archive" | awk '$NF ~ /^zpool_/ { print $NF }')
    [ -z "$wanted" ] || fail "$archive has undefined symbols of libzpool: $wanted"
    foreign=$(run_nm -g --defined-only "$archive" | awk 'NF == 3 && $3 !~ /^zp_/ { print $3 }' |
        grep -vE '^(__odr_asan|__gcov_|asan\.|DW\.ref)')
    [ -z "$foreign" ] || fail "$archive defines names that do not begin with zp_: $foreign"
}

# The host is linked as the .pc file says, which is the same if only the static library is installed.
build_host() {
    # shellcheck disable=SC2046,SC2086 # lists of options
    run_cc -Wall -Wextra -Werror $EXTRA_CFLAGS $(pkg_config --cflags) -o "$scratch/host" "$srcdir/tests/install/host.c" \
        $(pkg_config --libs) || {
        fail "a host cannot be built with the installed library"
        finish
    }
}

# The store has a header and a .pc file of its own.
# Its .pc file names libraries of the system.
with_store_pkg_config() {
    env PKG_CONFIG_LIBDIR="$DESTDIR$libdir/pkgconfig:$("$PKG_CONFIG" --variable pc_path pkg-config)" \
        PKG_CONFIG_PATH='' PKG_CONFIG_SYSROOT_DIR="$DESTDIR" PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 "$PKG_CONFIG" "$@" \
        libzpool-store
}

check_store() {
    static=--static
    [ "$enable_shared" = no ] || static=
    version=$(with_store_pkg_config --modversion)
    [ "$version" = "$PACKAGE_VERSION" ] || fail "libzpool-store.pc says version $version instead of $PACKAGE_VERSION"
    cmp "$srcdir/store/zpool-store.h" "$DESTDIR$includedir/zpool-store.h" ||
        fail "zpool-store.h was not installed as it is"
    [ -e "$DESTDIR$mandir/man3/zpool_store_open.3" ] || fail "man3/zpool_store_open.3 was not installed"
    # shellcheck disable=SC2046,SC2086 # lists of options
    run_cc -Wall -Wextra -Werror $EXTRA_CFLAGS $(with_store_pkg_config --cflags) \
        -o "$scratch/store-host" "$srcdir/tests/install/store_host.c" \
        $(with_store_pkg_config $static --libs) || {
        fail "a program cannot be built with the installed libzpool-store"
        return
    }
    [ "$enable_shared" = yes ] || return
    LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} ZPOOL_PLUGIN_PATH=$scratch/plugins \
        "$scratch/store-host" || fail "a program cannot use the installed libzpool-store"
}

run_host() {
    LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$scratch/host" "$@"
}

plugin_types() {
    for plugin in "$DESTDIR$plugindir"/*.so; do
        basename "$plugin" .so
    done
}

# Prints the spec of a pool for each plugin. A filter needs a driver below it.
plugin_specs() {
    for type in $(plugin_types); do
        case "$type $installed_filters " in
        trace\ *) echo "trace:file=$scratch/calls+zbud" ;;
        *" $type "*) echo "$type+zbud" ;;
        *) echo "$type" ;;
        esac
    done
}

# If DESTDIR is empty, the compiled-in directory is used. Exit status 3 means that the host does not trust it, for
# example after an installation as root with umask 002. Then, as with DESTDIR, copies of the plugins in the scratch
# directory are used.
check_installed_plugins() {
    specs=$(plugin_specs)
    if [ -z "$DESTDIR" ]; then
        # shellcheck disable=SC2086 # a list of names
        (unset ZPOOL_PLUGIN_PATH && run_host $specs)
        status=$?
        [ "$status" -eq 3 ] || {
            [ "$status" -eq 0 ] || fail "a host cannot use the plugins in $plugindir"
            return
        }
        printf 'other users may change %s: checking copies of its plugins\n' "$plugindir"
    fi
    # shellcheck disable=SC2086 # a list of names
    ZPOOL_PLUGIN_PATH=$scratch/plugins run_host $specs || fail "a host cannot use copies of the installed plugins"
}

check_foreign_plugin() {
    # shellcheck disable=SC2046,SC2086 # lists of options
    run_cc -shared -fPIC -Wall -Wextra -Wpedantic -Werror $EXTRA_CFLAGS $(pkg_config --cflags) -o "$scratch/staged.so" \
        "$srcdir/tests/install/bump.c" || {
        fail "a plugin cannot be built with the installed headers"
        return
    }
    chmod 755 "$scratch/staged.so"
    ZPOOL_PLUGIN_PATH=$scratch/plugins run_host --drop "$scratch/staged.so" "$scratch/plugins/bump.so" ||
        fail "a plugin that was added to a directory while the host runs was not found"
}

# project_make ARGUMENT... - builds in the directory of the new plugin with the installed package, and with warnings as
# errors
project_make() {
    # Sanitizer runtimes are resolved from the program.
    case $EXTRA_CFLAGS in
    *-fsanitize*) set -- "$@" PLUGIN_LDFLAGS=-shared ;;
    esac
    (
        unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES
        LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
        ZPOOL_PLUGIN_PATH=$scratch/plugins
        export LD_LIBRARY_PATH ZPOOL_PLUGIN_PATH
        with_pkg_config "${MAKE:-make}" -s -C "$scratch/$project" CC="$CC" PKG_CONFIG="$PKG_CONFIG" \
            CFLAGS="$EXTRA_CFLAGS -O1" WARN_CFLAGS="-Wall -Wextra -Wpedantic -Werror" DESTDIR='' "$@"
    )
}

# from_template FILE - prints the file as `zpoolctl new' would fill it in
from_template() {
    spec=$project
    [ "$kind" = driver ] || spec=$project+zbud
    sed "s/@type@/$project/g; s/@spec@/$spec/g; s/@kind@/$kind/g" "$srcdir/tools/template/$1"
}

# Without zpoolctl, the project is made from the template in the sources.
write_project() {
    if [ "$enable_tools" = yes ] && [ "$enable_shared" = yes ]; then
        [ "$kind" = driver ] || set -- --filter
        LD_LIBRARY_PATH=$DESTDIR$libdir "$DESTDIR$bindir/zpoolctl" new "$@" "$project" --dir "$scratch/$project" >/dev/null
        return
    fi
    mkdir "$scratch/$project" "$scratch/$project/tests"
    from_template "$kind.c.in" >"$scratch/$project/$project.c"
    from_template project.mk.in >"$scratch/$project/Makefile"
    from_template roundtrip.c.in >"$scratch/$project/tests/roundtrip.c"
    from_template check.sh.in >"$scratch/$project/tests/check.sh"
}

# check_project NAME KIND - builds a plugin with the support library, and programs that load it or have it linked in,
# with the shared library and with the static one, if they are installed
check_project() {
    project=$1
    kind=$2
    write_project || {
        fail "the project of a new $kind cannot be written"
        return
    }
    if [ "$enable_shared" = yes ]; then
        project_make check check-linked || fail "a new $kind does not build and work with the shared library"
        plugin_dir=$scratch/$project sh "$srcdir/tests/install/plugins.sh" ||
            fail "the plugin file of a new $kind has faults"
    fi
    [ -e "$DESTDIR$libdir/libzpool.a" ] || return
    rm -f "$scratch/$project/tests/roundtrip" "$scratch/$project/tests/linked"
    private=$(pkg_config --static --libs | sed 's/-lzpool\( \|$\)/ /')
    set -- check-linked
    [ "$enable_shared" = no ] || set -- check check-linked
    project_make "$@" HOST_LIBS="$DESTDIR$libdir/libzpool.a $private" ||
        fail "a new $kind does not build and work with the static library"
    case $("$READELF" -dW "$scratch/$project/tests/linked") in
    *NEEDED*libzpool*) fail "the program that was to be linked with libzpool.a needs the shared library" ;;
    esac
}

# check_linked_host PROGRAM - the program must find its drivers in itself, without a plugin directory
check_linked_host() {
    ZPOOL_PLUGIN_PATH=/nonexistent/zpool LD_LIBRARY_PATH=$DESTDIR$libdir "$1" zbud guard+zsmalloc >"$scratch/out" 2>&1 || {
        cat "$scratch/out" >&2
        fail "$1 does not find the drivers that are linked into it"
    }
}

# zpool(3) describes two ways to link installed drivers into a program: by libtool, and by hand.
check_linked_drivers() {
    [ -e "$DESTDIR$libdir/libzpool.a" ] || return
    private=$(pkg_config --static --libs | sed 's/-lzpool\( \|$\)/ /')
    # shellcheck disable=SC2046,SC2086 # lists of options
    run_cc $EXTRA_CFLAGS $(pkg_config --cflags) -c -o "$scratch/linked.o" "$srcdir/tests/install/host.c"
    # shellcheck disable=SC2086 # lists of options
    { ./libtool --silent --tag=CC --mode=link $CC $EXTRA_CFLAGS -static-libtool-libs -o "$scratch/preopened" \
        "$scratch/linked.o" -dlpreopen "$DESTDIR$plugindir/zbud.la" -dlpreopen "$DESTDIR$plugindir/zsmalloc.la" \
        -dlpreopen "$DESTDIR$plugindir/guard.la" "$DESTDIR$libdir/libzpool.la" $private &&
        check_linked_host "$scratch/preopened"; } || fail "installed drivers cannot be linked in with -dlpreopen"
    # shellcheck disable=SC2046,SC2086 # lists of options
    { run_cc $EXTRA_CFLAGS -DLINKED_BY_HAND $(pkg_config --cflags) -o "$scratch/by-hand" "$srcdir/tests/install/host.c" \
        "$DESTDIR$plugindir/zbud.a" "$DESTDIR$plugindir/zsmalloc.a" "$DESTDIR$plugindir/guard.a" \
        "$DESTDIR$libdir/libzpool.a" $private &&
        check_linked_host "$scratch/by-hand"; } || fail "installed drivers cannot be linked in by hand"
    # Such a program cannot be built without a static C library, or with a sanitizer.
    case $EXTRA_CFLAGS in *-fsanitize*) return ;; esac
    echo 'int main(void) { return 0; }' >"$scratch/plain.c"
    run_cc -static -o "$scratch/plain" "$scratch/plain.c" -lltdl 2>/dev/null || return
    # shellcheck disable=SC2046,SC2086 # lists of options
    { run_cc -static $EXTRA_CFLAGS -DLINKED_BY_HAND $(pkg_config --cflags) -o "$scratch/static" \
        "$srcdir/tests/install/host.c" "$DESTDIR$plugindir/zbud.a" "$DESTDIR$plugindir/zsmalloc.a" \
        "$DESTDIR$plugindir/guard.a" "$DESTDIR$libdir/libzpool.a" $private 2>"$scratch/warnings" &&
        check_linked_host "$scratch/static"; } || fail "a host cannot be linked with -static"
}

# README.md says that a program starts after ldconfig, or with a run path.
check_run_path() {
    # shellcheck disable=SC2046,SC2086 # lists of options
    { run_cc $EXTRA_CFLAGS $(pkg_config --cflags) -o "$scratch/with-path" "$srcdir/tests/install/host.c" \
        $(pkg_config --libs) -Wl,-rpath,"$DESTDIR$libdir" && (unset LD_LIBRARY_PATH && "$scratch/with-path"); } ||
        fail "a host with a run path does not start without LD_LIBRARY_PATH"
}

check_tools() {
    version=$(LD_LIBRARY_PATH=$DESTDIR$libdir "$DESTDIR$bindir/zpoolctl" --version) || fail "zpoolctl --version fails"
    case $version in
    *"$PACKAGE_VERSION"*) ;;
    *) fail "zpoolctl reports version $version" ;;
    esac
    [ -e "$DESTDIR$mandir/man1/zpoolctl.1" ] || fail "zpoolctl(1) was not installed"
    listed=$(LD_LIBRARY_PATH=$DESTDIR$libdir ZPOOL_PLUGIN_PATH=$scratch/plugins "$DESTDIR$bindir/zpoolctl" list) ||
        fail "zpoolctl list fails"
    for type in $(plugin_types); do
        case $listed in
        *"$type"*) ;;
        *) fail "zpoolctl list does not show $type" ;;
        esac
    done
}

check_pc libzpool
check_pc libzpool-driver
check_driver_pc
check_headers
check_archive
build_host
check_linked_drivers
if [ "$enable_shared" = yes ]; then
    mkdir -m 755 "$scratch/plugins"
    install -m 755 "$DESTDIR$plugindir"/*.so "$scratch/plugins"
    # A filter needs a driver below it.
    check_project sieve filter
    check_installed_plugins
    check_run_path
    check_foreign_plugin
    [ "$enable_tools" = no ] || check_tools
    plugin_dir=$DESTDIR$plugindir sh "$srcdir/tests/install/plugins.sh" ||
        fail "the installed plugin files have faults"
else
    run_host || fail "a statically linked host does not work"
fi
check_project kit driver
[ "$enable_store" = no ] || check_store
for page in man3/zpool.3 man7/zpool-driver.7; do
    [ -e "$DESTDIR$mandir/$page" ] || fail "$page was not installed"
done
finish
