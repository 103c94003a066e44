# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# common.sh - sourced by the test scripts: counting failures, skipping, a scratch directory
#
# Scripts run in the top build directory. They need srcdir in the environment, and the variables that each script names
# at its beginning. A script calls fail for each fault and continues, so that one run shows all faults; at its end it
# calls finish.

failures=0
scratch=

# A command from configure may consist of several words, such as "ccache gcc" and "nm -B".
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

# Sets $scratch to a new directory, which is removed at exit.
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

# Prints the public functions that a header declares, one per line, sorted.
declared_functions() {
    run_cc -E -P -I"$(dirname "$1")" "$1" | tr '\n' ' ' | tr ';' '\n' |
        sed -n 's/.*visibility("default").*[^a-z0-9_]\(zpool_[a-z0-9_]*\) *(.*/\1/p' | sort
}

# Prints the symbols that a shared object exports, one per line, sorted, without versions and without the symbols that
# sanitizers, coverage and the startup files of musl add.
exported_symbols() {
    run_nm -D --defined-only --format=posix "$1" | awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' |
        grep -vE '^(__odr_asan|__gcov_|mangle_path$|_init$|_fini$)' | sort
}
