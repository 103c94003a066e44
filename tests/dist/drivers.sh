#!/bin/sh
# SPDX-License-Identifier: MIT
#
# drivers.sh - each driver and filter of plugins/local.mk is named in the files that cannot be made from that list
#
# The script runs in the top build directory, with the names of all plugins in ZPOOL_TEST_TYPES.

set -u
. "${srcdir:?}/tests/install/common.sh"

# named TYPE PATTERN FILE - a file of the source tree has a text in which @ is the type
named() {
    [ -e "$srcdir/$3" ] || return 0
    grep -qF -- "$(printf '%s' "$2" | sed "s/@/$1/g")" "$srcdir/$3" || fail "$3 does not name $1"
}

: "${ZPOOL_TEST_TYPES:?}"
for type in $ZPOOL_TEST_TYPES; do
    [ -e "$srcdir/doc/man/zpool-$type.7" ] || fail "$type has no manual page doc/man/zpool-$type.7"
    named "$type" 'doc/man/zpool-@.7' plugins/local.mk
    named "$type" 'zpool-@(7)' README.md
    named "$type" '@' NEWS
    named "$type" 'man7/zpool-@.7' debian/zpool-plugins.install
    for section in DESCRIPTION 'SEE ALSO'; do
        sed -n "/^\.SH $section/,/^\.SH /p" "$srcdir/doc/man/zpool.3" | grep -qF "zpool\\-$type (7)" ||
            fail "doc/man/zpool.3 does not name $type under $section"
    done
done
finish
