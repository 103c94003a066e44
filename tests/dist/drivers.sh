#!/bin/sh
# SPDX-License-Identifier: MIT
#
# drivers.sh - each driver and filter of plugins/local.mk is named in the files that cannot be made from that list
#
# The script runs in the top build directory, with the names of the drivers and of all plugins in ZPOOL_TEST_DRIVERS and
# ZPOOL_TEST_TYPES.

set -u
. "${srcdir:?}/tests/install/common.sh"

# named TYPE PATTERN FILE - a file of the source tree has a text in which @ is the type
named() {
    [ -e "$srcdir/$3" ] || return 0
    grep -qF -- "$(printf '%s' "$2" | sed "s/@/$1/g")" "$srcdir/$3" || fail "$3 does not name $1"
}

: "${ZPOOL_TEST_DRIVERS:?}" "${ZPOOL_TEST_TYPES:?}"
for type in $ZPOOL_TEST_TYPES; do
    [ -e "$srcdir/doc/man/zpool-$type.7" ] || fail "$type has no manual page doc/man/zpool-$type.7"
    named "$type" 'doc/man/zpool-@.7' doc/local.mk
    named "$type" 'zpool-@(7)' README.md
    named "$type" 'man7/zpool-@.7' debian/zpool-plugins.install
done
for type in $ZPOOL_TEST_DRIVERS; do
    named "$type" 'zpool\-@ (7)' doc/man/zpool.3
    named "$type" '"@"' tests/install/kernel_caller.c
done
finish
