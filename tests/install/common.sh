# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# common.sh - sourced by the test scripts: counting failures, skipping, a scratch directory
#
# Scripts run in the top build directory and need srcdir in the environment, and what else each names at its head.  One
# calls fail for each thing that is wrong and goes on, so that one run shows all of it, and ends with finish.

failures=0
scratch=

# Commands from configure may be several words, such as "ccache gcc" and "nm -B".
run_cc() {
    # shellcheck disable=SC2086
    ${CC:?} "$@"
}

run_nm() {
    # shellcheck disable=SC2086
    ${NM:?} "$@"
}

fail() {
    printf 'FAIL: %s\n' "$*" >&2
    failures=$((failures + 1))
}

skip() {
    printf 'skipped: %s\n' "$*"
    exit 77
}

remove_scratch() {
    [ -z "$scratch" ] || rm -rf "$scratch"
}

# Sets $scratch, a new directory that goes away at exit.
make_scratch() {
    scratch=$(mktemp -d "${TMPDIR:-/tmp}/zpool-install.XXXXXX") || exit 99
    trap remove_scratch EXIT
    trap 'exit 130' HUP INT TERM
}

finish() {
    [ "$failures" -eq 0 ] || {
        printf '%d failed\n' "$failures" >&2
        exit 1
    }
    exit 0
}

# The functions that a header declares public, one a line, sorted.
declared_functions() {
    run_cc -E -P -I"$(dirname "$1")" "$1" | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*visibility("default").*[^a-z0-9_]\(zpool_[a-z0-9_]*\) *(.*/\1/p' | sort
}

# The symbols that a shared object exports, one a line, sorted; without versions, nor what sanitizers, the counting of
# executed lines and the startup files of musl add.
exported_symbols() {
    run_nm -D --defined-only --format=posix "$1" | awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' |
        grep -vE '^(__odr_asan|__gcov_|mangle_path$|_init$|_fini$)' | sort
}
