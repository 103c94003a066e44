# SPDX-License-Identifier: MIT
#
# common.sh - for the tests of zpoolctl, which source it: where things are, a folder to work in, and checks that print
# what they look at.  A script ends with `finish'.

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
# The tool's temporary files go where the tests can see that none stays.
mkdir "$work/tmp" "$work/plugins"
TMPDIR=$work/tmp
export TMPDIR
# shellcheck disable=SC3045 # where there is no -c there are no core files to be rid of
ulimit -c 0 2>/dev/null || :

# For tests of what the tool does in a child: the thread sanitizer does not notice that a fork handler initialises locks again.
needs_children()
{
    [ -z "${ZPOOL_TEST_NO_FORK:-}" ] || {
        echo "thread sanitizer and fork do not go together"
        exit 77
    }
}

is_linked_in()
{
    "$zpoolctl" list | grep -q "^$1 .*linked in"
}

# use_drivers NAME...: the plugin path from here on has these and no others, mocks or real ones.  Where drivers are
# linked into the tool they stay.
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

# run ARGUMENT...: the tool; its output, messages and exit status are in $work/out, $work/err and $status.
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

# exits NAME STATUS: the last run did.
exits()
{
    if [ "$status" -eq "$2" ]; then report ok "$1"; else report no "$1" "exit status $status, not $2"; fi
}

# says NAME PATTERN: on standard error.  prints NAME PATTERN: on standard output.  Patterns are those of grep -E.
says()
{
    if grep -Eq -e "$2" "$work/err"; then report ok "$1"; else report no "$1" "no message like $2"; fi
}
prints()
{
    if grep -Eq -e "$2" "$work/out"; then report ok "$1"; else report no "$1" "no output like $2"; fi
}
prints_not()
{
    if grep -Eq -e "$2" "$work/out"; then report no "$1" "output like $2"; else report ok "$1"; fi
}
says_not()
{
    if grep -Eq -e "$2" "$work/err"; then report no "$1" "a message like $2"; else report ok "$1"; fi
}
silent()
{
    if [ -s "$work/err" ]; then report no "$1" "there are messages"; else report ok "$1"; fi
}

# value KEY...: from the JSON that was printed.
value()
{
    "$json_get" "$@" <"$work/out" 2>&1
}

# is NAME EXPECTED ACTUAL
is()
{
    if [ "$2" = "$3" ]; then report ok "$1"; else report no "$1" "$3, not $2"; fi
}

# holds NAME EXPRESSION...: what test(1) takes
holds()
{
    name=$1
    shift
    if [ "$@" ]; then report ok "$name"; else report no "$name" "not $*"; fi
}

# random_file PATH BYTES; text_file PATH BYTES: compressible, and no unit like the other
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
