#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kernel_names.sh - zpool_create_pool() takes the arguments of the kernel version that ZPOOL_KERNEL_NAMES names. A call
# with the arguments of another version, or with an integer and a pointer exchanged, does not compile

set -u
. "${srcdir:?}/tests/install/common.sh"
make_scratch

# try LANGUAGE STANDARD VERSION CALL - succeeds if the call compiles. It does not use -Werror, because a wrong call must
# be an error and not only a warning.
try() {
    {
        printf '#include <zpool.h>\n'
        printf 'extern struct zpool *pool;\nextern struct zpool *pool;\nvoid call(struct zpool_ops *ops, char *text, gfp_t gfp, int number);\n'
        printf 'struct zpool *pool;\nvoid call(struct zpool_ops *ops, char *text, gfp_t gfp, int number)\n'
        printf '{\n\t(void)ops, (void)text, (void)gfp, (void)number;\n\tpool = zpool_create_pool(%s);\n}\n' "$4"
    } >"$scratch/call"
    # shellcheck disable=SC2086
    if [ "$1" = c ]; then
        run_cc -std="$2" $warnings -DZPOOL_KERNEL_NAMES="$3" -I"$srcdir/libzpool" -fsyntax-only -x c "$scratch/call"
    else
        ${CXX:-c++} -std="$2" $warnings -DZPOOL_KERNEL_NAMES="$3" -I"$srcdir/libzpool" -fsyntax-only -x c++ "$scratch/call"
    fi >"$scratch/log" 2>&1
}

takes() {
    warnings='-Wall -Wextra -Wpedantic -Werror'
    try "$@" || {
        cat "$scratch/log"
        fail "zpool_create_pool($4) does not compile with ZPOOL_KERNEL_NAMES=$3 as $2"
    }
}

refuses() {
    warnings=-w
    ! try "$@" || fail "zpool_create_pool($4) compiles with ZPOOL_KERNEL_NAMES=$3 as $2"
}

# C and C++ have the same cases.
calls() {
    for version in '' 1 317; do
        takes "$1" "$2" "$version" '"zbud", GFP_KERNEL, NULL'
        takes "$1" "$2" "$version" 'text, gfp, ops'
        takes "$1" "$2" "$version" '"zbud", __GFP_NORETRY | __GFP_NOWARN, 0'
        refuses "$1" "$2" "$version" '"zbud", "name", GFP_KERNEL, ops'
        refuses "$1" "$2" "$version" '"zbud", "name", GFP_KERNEL'
        refuses "$1" "$2" "$version" '"zbud", text, gfp'
        refuses "$1" "$2" "$version" '"zbud", gfp, number'
        refuses "$1" "$2" "$version" '"zbud", ops, gfp'
        refuses "$1" "$2" "$version" 'number, gfp, ops'
        refuses "$1" "$2" "$version" '"zbud", gfp'
    done
    for version in 400 604; do
        takes "$1" "$2" "$version" '"zbud", "name", GFP_KERNEL, ops'
        takes "$1" "$2" "$version" 'text, text, gfp, NULL'
        takes "$1" "$2" "$version" '"zbud", NULL, gfp, 0'
        refuses "$1" "$2" "$version" '"zbud", GFP_KERNEL, ops'
        refuses "$1" "$2" "$version" '"zbud", "name", GFP_KERNEL'
        refuses "$1" "$2" "$version" '"zbud", gfp, "name", ops'
        refuses "$1" "$2" "$version" '"zbud", number, gfp, ops'
        refuses "$1" "$2" "$version" '"zbud", "name", ops, gfp'
        refuses "$1" "$2" "$version" '"zbud", "name", gfp, number'
    done
    for version in 605 612; do
        takes "$1" "$2" "$version" '"zbud", "name", GFP_KERNEL'
        takes "$1" "$2" "$version" 'text, NULL, gfp'
        refuses "$1" "$2" "$version" '"zbud", "name", GFP_KERNEL, ops'
        refuses "$1" "$2" "$version" '"zbud", GFP_KERNEL, ops'
        refuses "$1" "$2" "$version" '"zbud", gfp, "name"'
        refuses "$1" "$2" "$version" '"zbud", number, gfp'
    done
}

for std in c99 c11 gnu11; do
    calls c $std
done
if ${CXX:-c++} --version >"$scratch/log" 2>&1; then
    calls c++ c++11
else
    echo "there is no C++ compiler, so the calls are only tried in C"
fi
finish
