#!/bin/sh
# SPDX-License-Identifier: MIT
#
# version.sh - configure.ac and zpool.h agree on the version, zpool-driver.h and the .pc file on the ABI

set -u
. "${srcdir:?}/tests/install/common.sh"

# macro NAME - prints the value of a macro of a header
macro() {
    printf '#include <zpool-driver.h>\nvalue: %s\n' "$1" | run_cc -E -P -I"$srcdir/libzpool" -x c - |
        sed -n 's/^value: //p' | tr -d '" '
}

[ "$(macro ZPOOL_VERSION)" = "${PACKAGE_VERSION:?}" ] ||
    fail "zpool.h has version $(macro ZPOOL_VERSION), but configure.ac has $PACKAGE_VERSION"
numbers=$(macro ZPOOL_VERSION_MAJOR).$(macro ZPOOL_VERSION_MINOR).$(macro ZPOOL_VERSION_PATCH)
[ "$numbers" = "$PACKAGE_VERSION" ] || fail "the numbers in zpool.h give version $numbers, but configure.ac has $PACKAGE_VERSION"

abi_major=$(sed -n 's/^abi_major=//p' libzpool/libzpool.pc)
[ "$abi_major" = "$(macro ZPOOL_ABI_MAJOR)" ] || fail "libzpool.pc has ABI \"$abi_major\""
finish
