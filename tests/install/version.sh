#!/bin/sh
# SPDX-License-Identifier: MIT
#
# version.sh - configure.ac and zpool.h agree on the version, zpool-driver.h and the .pc file on the ABI

set -u
. "${srcdir:?}/tests/install/common.sh"

# What a macro of a header stands for.
macro() {
    printf '#include <zpool-driver.h>\nvalue: %s\n' "$1" | run_cc -E -P -I"$srcdir/libzpool" -x c - |
        sed -n 's/^value: //p' | tr -d '" '
}

[ "$(macro ZPOOL_VERSION)" = "${PACKAGE_VERSION:?}" ] ||
    fail "zpool.h says version $(macro ZPOOL_VERSION), configure.ac $PACKAGE_VERSION"
numbers=$(macro ZPOOL_VERSION_MAJOR).$(macro ZPOOL_VERSION_MINOR).$(macro ZPOOL_VERSION_PATCH)
[ "$numbers" = "$PACKAGE_VERSION" ] || fail "zpool.h's numbers say version $numbers, configure.ac $PACKAGE_VERSION"

abi_major=$(sed -n 's/^abi_major=//p' libzpool/libzpool.pc)
[ "$abi_major" = "$(macro ZPOOL_ABI_MAJOR)" ] || fail "libzpool.pc says ABI \"$abi_major\""
finish
