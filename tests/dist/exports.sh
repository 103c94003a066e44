#!/bin/sh
# SPDX-License-Identifier: MIT
#
# exports.sh - every public function is called by the tests that have to call all of them
#
# They run on a small stack, are cancelled, and meet failing calls of the C library.

set -u
. "${srcdir:?}/tests/install/common.sh"

# called_by MAP EXCEPTIONS FILE... - the functions that a map exports, but the exceptions, are named in one of the files
called_by() {
    map=$srcdir/$1
    exceptions=" $2 "
    shift 2
    [ -e "$map" ] || return 0
    functions=$(grep -oE 'zpool_[a-z_]+;' "$map" | tr -d ';' | sort -u)
    [ -n "$functions" ] || fail "$map exports nothing"
    for function in $functions; do
        case $exceptions in *" $function "*) continue ;; esac
        (cd "$srcdir" && cat "$@") | grep -qw "$function" || fail "none of $* calls $function"
    done
}

called_by libzpool/libzpool.map '' tests/loader/small_stack.c
called_by store/libzpool-store.map '' tests/store/small_stack.c
# Loading cannot be enabled again for the next scenario, and the function takes a lock and nothing else.
called_by libzpool/libzpool.map 'zpool_loading_disable' tests/starvation/pools.c tests/starvation/loader.c
called_by store/libzpool-store.map '' tests/starvation/store.c
called_by libzpool/libzpool.map '' tests/stress/cancel.c
called_by store/libzpool-store.map '' tests/store/cancel.c
finish
