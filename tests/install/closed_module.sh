#!/bin/sh
# SPDX-License-Identifier: MIT
#
# closed_module.sh - a module that contains the static library can be closed before the threads that used it end

set -u
. "${srcdir:?}/tests/install/common.sh"

library=libzpool/.libs/libzpool.a
[ -e "$library" ] || skip "built without a static library"
[ -e plugins/.libs/zbud.so ] || skip "built without plugins"
[ -z "${SANITIZER_CFLAGS:-}${COVERAGE_CFLAGS:-}" ] || skip "the module cannot use a sanitizer that its program does not have"
make_scratch

source=$srcdir/tests/install/closed_module.c
flags="-std=gnu11 -O1 -Wall -Wextra -Werror -pthread"
private=$(sed -n 's/^Libs\.private: *//p' libzpool/libzpool.pc)
# shellcheck disable=SC2086
run_cc $flags -fPIC -shared -fvisibility=hidden -DMODULE -I"$srcdir/libzpool" "$source" "$library" $private \
    -o "$scratch/module.so" >"$scratch/log" 2>&1 || {
    cat "$scratch/log"
    skip "the static library is not position-independent here"
}
# shellcheck disable=SC2086
run_cc $flags "$source" -o "$scratch/host" -ldl || fail "the program does not compile"
for spec in ${ZPOOL_TEST_DRIVERS:?} guard+zsmalloc; do
    timeout 60 "$scratch/host" "$scratch/module.so" "$spec"
    status=$?
    [ $status -eq 0 ] || fail "the program that closes the module ended with exit status $status on $spec"
done
finish
