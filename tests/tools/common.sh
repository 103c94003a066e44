# SPDX-License-Identifier: MIT
#
# common.sh - sourced by the tests of zpoolctl: paths, a directory to work in, and checks that print what they found. A
# script ends with `finish'.

# shellcheck shell=sh disable=SC2034

builddir=${abs_top_builddir:?is the build tree, set by make check}
zpoolctl=$builddir/tools/zpoolctl
json_get=$builddir/tests/tools/json-get
failures=0

[ -x "$zpoolctl" ] || {
    echo "zpoolctl was not built"
    exit 77
}
umask 022
work=$(mktemp -d "${TMPDIR:-/tmp}/zpoolctl-test.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
# The tool's temporary files are in a directory where the tests can see whether one is left.
mkdir "$work/tmp" "$work/plugins"
TMPDIR=$work/tmp
export TMPDIR
# shellcheck disable=SC3045 # a shell without -c makes no core files
ulimit -c 0 2>/dev/null || :

# A test calls this if the tool runs drivers in a child: the thread sanitizer does not understand that a fork handler
# initialises locks again.
needs_children()
{
    [ -z "${ZPOOL_TEST_NO_FORK:-}" ] || {
        echo "the thread sanitizer does not support this use of fork()"
        exit 77
    }
}

is_linked_in()
{
    "$zpoolctl" list | grep -q "^$1 .*linked in"
}

# use_drivers NAME...: the plugin path has only these drivers from here on, mocks or real ones. Drivers that are linked
# into the tool remain available.
use_drivers()
{
    rm -rf "$work/plugins"
    mkdir "$work/plugins"
    for driver in "$@"; do
        for file in "$builddir/tests/tools/mocks/.libs/$driver.so" "$builddir/plugins/.libs/$driver.so"; do
            [ ! -e "$file" ] || cp "$file" "$work/plugins/"
        done
        [ -e "$work/plugins/$driver.so" ] || is_linked_in "$driver" || {
            echo "driver $driver was not built as a plugin"
            exit 77
        }
    done
    ZPOOL_PLUGIN_PATH=$work/plugins
    export ZPOOL_PLUGIN_PATH
}

# Prints the names of the tool's commands, in the order of its help.
list_commands()
{
    COLUMNS='' "$zpoolctl" help | awk 'NF == 0 { listed = 0 } listed { print $1 } /^Commands:/ { listed = 1 }'
}

# run ARGUMENT...: runs the tool; its output, messages and exit status are in $work/out, $work/err and $status
run()
{
    status=0
    "$zpoolctl" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

report()
{
    if [ "$1" = ok ]; then
        echo "ok: $2"
    else
        echo "FAILED: $2 ($3)"
        sed 's/^/    out: /' "$work/out"
        sed 's/^/    err: /' "$work/err"
        failures=$((failures + 1))
    fi
}

# exits NAME STATUS: checks the exit status of the last run
exits()
{
    if [ "$status" -eq "$2" ]; then report ok "$1"; else report no "$1" "exit status: expected $2, got $status"; fi
}

# warns NAME PATTERN: checks standard error. prints NAME PATTERN: checks standard output. Patterns are those of grep -E.
warns()
{
    if grep -Eq -e "$2" "$work/err"; then report ok "$1"; else report no "$1" "expected a message that matches $2"; fi
}
prints()
{
    if grep -Eq -e "$2" "$work/out"; then report ok "$1"; else report no "$1" "expected output that matches $2"; fi
}
prints_not()
{
    if grep -Eq -e "$2" "$work/out"; then report no "$1" "found output that matches $2"; else report ok "$1"; fi
}
warns_not()
{
    if grep -Eq -e "$2" "$work/err"; then report no "$1" "found a message that matches $2"; else report ok "$1"; fi
}
silent()
{
    if [ -s "$work/err" ]; then report no "$1" "there must be no message"; else report ok "$1"; fi
}

# value KEY...: prints a value of the JSON that was printed
value()
{
    "$json_get" "$@" <"$work/out" 2>&1
}

# is NAME EXPECTED ACTUAL: compares two strings
is()
{
    if [ "$2" = "$3" ]; then report ok "$1"; else report no "$1" "expected $2, got $3"; fi
}

# holds NAME EXPRESSION...: evaluates an expression of test(1)
holds()
{
    name=$1
    shift
    if [ "$@" ]; then report ok "$name"; else report no "$name" "false: $*"; fi
}

# random_file PATH BYTES; text_file PATH BYTES: the text is compressible, but all its units differ
random_file()
{
    head -c "$2" /dev/urandom >"$1"
}
text_file()
{
    seq 1 1000000 | awk '{ print "line", $1, "of a text that is easy to compress" }' | head -c "$2" >"$1"
}

finish()
{
    left=$(ls -A "$work/tmp")
    is "no temporary file is left" "" "$left"
    [ "$failures" -eq 0 ] || {
        echo "$failures checks failed"
        exit 1
    }
    exit 0
}
