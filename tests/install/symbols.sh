#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh - each library exports exactly the functions that its header declares, is marked so that it is never unmapped,
# and has no thread-local memory that the C library allocates at its first use

set -u
. "${srcdir:?}/tests/install/common.sh"

[ -e libzpool/.libs/libzpool.so ] || skip "built without a shared library"
make_scratch

# check_library FILE HEADER
check_library() {
    library=$1
    name=$(basename "$library")
    header=$(basename "$2")
    declared_functions "$2" >"$scratch/declared"
    exported_symbols "$library" >"$scratch/exported"
    [ -s "$scratch/declared" ] || fail "no function was found in $header"
    for symbol in $(comm -23 "$scratch/declared" "$scratch/exported"); do
        fail "$symbol is declared in $header, but $name does not export it"
    done
    for symbol in $(comm -13 "$scratch/declared" "$scratch/exported"); do
        fail "$symbol is exported by $name, but $header does not declare it"
    done

    # A thread may still execute the library's code when the host closes it.
    "${READELF:?}" -dW "$library" | grep -q 'FLAGS_1.*NODELETE' || fail "$name is not marked NODELETE"

    # Where a program opens the library with dlopen(3), the C library would end the process if there is no memory.
    [ -n "${SANITIZER_CFLAGS:-}${COVERAGE_CFLAGS:-}" ] || ! "${READELF:?}" -rW "$library" | grep -Eq 'DTPMOD|TLSDESC|TLS_DTPMOD' ||
        fail "$name has thread-local variables of a dynamic model"
}

check_library libzpool/.libs/libzpool.so "$srcdir/libzpool/zpool.h"
if [ -e store/.libs/libzpool-store.so ]; then
    # libzpool declares the functions of the headers that this one includes.
    sed '/#include/d; 1i #define ZPOOL_PUBLIC __attribute__((visibility("default")))\n#include <stdint.h>\n#include <stddef.h>' \
        "$srcdir/store/zpool-store.h" >"$scratch/zpool-store.h"
    check_library store/.libs/libzpool-store.so "$scratch/zpool-store.h"
fi
finish
