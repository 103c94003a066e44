#!/bin/sh
# SPDX-License-Identifier: MIT
#
# symbols.sh - libzpool.so exports exactly the functions that zpool.h declares, and may not be unmapped

set -u
. "${srcdir:?}/tests/install/common.sh"

library=libzpool/.libs/libzpool.so
[ -e "$library" ] || skip "built without a shared library"
make_scratch

declared_functions "$srcdir/libzpool/zpool.h" >"$scratch/declared"
exported_symbols "$library" >"$scratch/exported"
[ -s "$scratch/declared" ] || fail "no function was found in zpool.h"
for symbol in $(comm -23 "$scratch/declared" "$scratch/exported"); do
    fail "$symbol is declared in zpool.h, but libzpool.so does not export it"
done
for symbol in $(comm -13 "$scratch/declared" "$scratch/exported"); do
    fail "$symbol is exported by libzpool.so, but zpool.h does not declare it"
done

# A driver's thread may still be inside the library's code when the host closes it.
"${READELF:?}" -dW "$library" | grep -q 'FLAGS_1.*NODELETE' || fail "libzpool.so is not marked NODELETE"
finish
