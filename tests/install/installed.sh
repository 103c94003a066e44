#!/bin/sh
# SPDX-License-Identifier: MIT
#
# installed.sh - make installcheck: use the package as it was installed, and nothing of the source tree but the programs
#
# Needs what configure found and the install directories in the environment, as checked below; DESTDIR may be empty, and
# EXTRA_CFLAGS holds the flags of a sanitizer.

set -u
. "${srcdir:?}/tests/install/common.sh"

: "${CC:?}" "${NM:?}" "${READELF:?}" "${PKG_CONFIG:?}" "${PACKAGE_VERSION:?}" "${ABI_MAJOR:?}" "${DESTDIR=}"
: "${libdir:?}" "${includedir:?}" "${plugindir:?}" "${bindir:?}" "${mandir:?}" "${enable_shared:?}" "${enable_tools:?}"
make_scratch

# pkg_config OPTION... - what the installed .pc file says, DESTDIR put before directories.
pkg_config() {
    PKG_CONFIG_LIBDIR=$DESTDIR$libdir/pkgconfig PKG_CONFIG_PATH='' PKG_CONFIG_SYSROOT_DIR=$DESTDIR \
        PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1 "$PKG_CONFIG" "$@" libzpool
}

check_pkg_config() {
    PKG_CONFIG_LIBDIR=$DESTDIR$libdir/pkgconfig "$PKG_CONFIG" --print-errors --exists libzpool ||
        fail "pkg-config does not know libzpool"
    version=$(pkg_config --modversion)
    [ "$version" = "$PACKAGE_VERSION" ] || fail "libzpool.pc says version $version instead of $PACKAGE_VERSION"
    for pair in "plugindir=$plugindir" "abi_major=$ABI_MAJOR" "includedir=$includedir" "libdir=$libdir"; do
        value=$(PKG_CONFIG_SYSROOT_DIR='' PKG_CONFIG_LIBDIR=$DESTDIR$libdir/pkgconfig \
            "$PKG_CONFIG" --variable="${pair%%=*}" libzpool)
        [ "$value" = "${pair#*=}" ] || fail "libzpool.pc says ${pair%%=*}=$value instead of ${pair#*=}"
    done
}

check_headers() {
    for header in zpool.h zpool-driver.h; do
        cmp "$srcdir/libzpool/$header" "$DESTDIR$includedir/$header" || fail "$header was not installed as it is"
    done
    others=$(cd "$DESTDIR$includedir" && find . -name 'zp*' ! -name zpool.h ! -name zpool-driver.h)
    [ -z "$others" ] || fail "headers were installed that are not public: $others"
}

# The host is linked in the way that the .pc file tells, with the static library where there is no shared one.
build_host() {
    static=
    [ "$enable_shared" = yes ] || static=--static
    # shellcheck disable=SC2046,SC2086 # lists of options
    run_cc -Wall -Wextra -Werror $EXTRA_CFLAGS $(pkg_config --cflags) -o "$scratch/host" "$srcdir/tests/install/host.c" \
        $(pkg_config --libs $static) || {
        fail "a host cannot be built with the installed library"
        finish
    }
}

run_host() {
    LD_LIBRARY_PATH=$DESTDIR$libdir${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$scratch/host" "$@"
}

plugin_types() {
    for plugin in "$DESTDIR$plugindir"/*.so; do
        basename "$plugin" .so
    done
}

# Where the compiled-in directory is the real one it is used; status 3 says that the host does not trust it (a umask of 002,
# for root), and then, as with DESTDIR, copies of the plugins in a directory of ours stand in.
check_installed_plugins() {
    types=$(plugin_types)
    if [ -z "$DESTDIR" ]; then
        # shellcheck disable=SC2086 # a list of names
        (unset ZPOOL_PLUGIN_PATH && run_host $types)
        status=$?
        [ "$status" -eq 3 ] || {
            [ "$status" -eq 0 ] || fail "a host cannot use the plugins in $plugindir"
            return
        }
        printf '%s may be changed by others: checking copies of its plugins\n' "$plugindir"
    fi
    # shellcheck disable=SC2086 # a list of names
    ZPOOL_PLUGIN_PATH=$scratch/plugins run_host $types || fail "a host cannot use copies of the installed plugins"
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
        fail "a plugin dropped into a directory while the host runs was not found"
}

check_tools() {
    version=$(LD_LIBRARY_PATH=$DESTDIR$libdir "$DESTDIR$bindir/zpoolctl" --version) || fail "zpoolctl --version fails"
    case $version in
    *"$PACKAGE_VERSION"*) ;;
    *) fail "zpoolctl says version $version" ;;
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

check_pkg_config
check_headers
build_host
if [ "$enable_shared" = yes ]; then
    mkdir -m 755 "$scratch/plugins"
    install -m 755 "$DESTDIR$plugindir"/*.so "$scratch/plugins"
    check_installed_plugins
    check_foreign_plugin
    [ "$enable_tools" = no ] || check_tools
    plugin_dir=$DESTDIR$plugindir sh "$srcdir/tests/install/plugins.sh" ||
        fail "the installed plugins' files are not as they should be"
else
    run_host || fail "a host linked statically does not run"
fi
for page in man3/zpool.3 man7/zpool-driver.7; do
    [ -e "$DESTDIR$mandir/$page" ] || fail "$page was not installed"
done
finish
