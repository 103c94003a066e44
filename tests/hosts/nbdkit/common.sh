# SPDX-License-Identifier: MIT
#
# common.sh - a working directory, servers and checks for the tests of nbdkit's plugin, which source this file.  The
# checks print what they test.  A script must end with `finish'.

# shellcheck shell=sh disable=SC2034

builddir=${abs_top_builddir:?is the build tree, set by make check}
plugin=$builddir/hosts/nbdkit/.libs/nbdkit-zpool-plugin.so
client=$builddir/tests/hosts/nbdkit/client
failures=0
servers=

skip()
{
    echo "skipped: $*"
    exit 77
}

# needs PROGRAM PACKAGE: skips the test if the program is not installed
needs()
{
    command -v "$1" >/dev/null || skip "$1 is not installed (Debian: $2)"
}

# An ordinary user's PATH lacks the directories of the file systems' tools.
PATH=$PATH:/usr/sbin:/sbin
[ -e "$plugin" ] || skip "the plugin of nbdkit was not built"
needs nbdkit nbdkit
needs timeout coreutils
# A sanitizer's library must be loaded before all others, but nbdkit is not linked with it, so it is preloaded.
preload=
case ${SANITIZER_CFLAGS:-} in
*thread*) skip "nbdkit cannot load a plugin that is built with the thread sanitizer" ;;
*address*)
    preload=$(${CC:?} -print-file-name=libasan.so)
    [ -e "$preload" ] || skip "there is no libasan.so to load into nbdkit"
    ASAN_OPTIONS=${ASAN_OPTIONS:+$ASAN_OPTIONS:}detect_leaks=0:verify_asan_link_order=0
    export ASAN_OPTIONS
    ;;
esac

umask 022
work=$(mktemp -d "${TMPDIR:-/tmp}/zpool-nbdkit.XXXXXX")

clean_up()
{
    for name in $servers; do
        [ ! -s "$work/$name.pid" ] || kill -KILL "$(cat "$work/$name.pid")" 2>/dev/null
    done
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' HUP INT TERM

# nbdkit_run ARGUMENT...: runs nbdkit in the foreground, for a minute at most, or for $nbdkit_seconds.
nbdkit_run()
{
    # Only nbdkit gets the sanitizer's library, and not the wrapper that starts it.
    timeout "${nbdkit_seconds:-60}" env ${preload:+LD_PRELOAD="$preload"} nbdkit "$@" </dev/null
}

# uri NAME: prints the URI of a server that was started.
uri()
{
    echo "nbd+unix:///?socket=$work/$1.socket"
}

# start NAME ARGUMENT...: starts a server that runs until stop NAME.  It fails if nbdkit does not start; the server's
# messages are in $work/NAME.log.
start()
{
    name=$1
    shift
    servers="$servers $name"
    rm -f "$work/$name.pid" "$work/$name.socket"
    # shellcheck disable=SC2086 # a command
    ${server_prefix:-} env ${preload:+LD_PRELOAD="$preload"} nbdkit --foreground --exit-with-parent --unix "$work/$name.socket" \
        --pidfile "$work/$name.pid" "$@" </dev/null >>"$work/$name.log" 2>&1 &
    eval "started_$name=$!"
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        [ ! -s "$work/$name.pid" ] || return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 0.1
    done
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30; do
        [ ! -s "$work/$name.pid" ] || return 0
        kill -0 "$!" 2>/dev/null || break
        sleep 1
    done
    report no "$name: nbdkit starts" "nbdkit did not start" "$work/$name.log"
    return 1
}

# With libasan.so loaded, a lock of the C library is out of balance from the start, also with nbdkit's own plugins;
# after an error was printed, nbdkit may wait for it forever when it exits.
wait_for_exit()
{
    for _ in $(seq 200); do
        kill -0 "$1" 2>/dev/null || return
        sleep 0.1
    done
    echo "nbdkit did not end within 20 s, as it may with libasan.so, and was killed"
    is_stuck=yes
    kill -KILL "$1"
}

# stop NAME [SIGNAL]: sends a signal (TERM) to a server and returns its exit status
stop()
{
    eval "set -- $1 ${2:-TERM} \$started_$1"
    kill "-$2" "$3" 2>/dev/null
    is_stuck=no
    [ -z "$preload" ] || wait_for_exit "$3"
    wait "$3"
    status=$?
    [ $is_stuck = no ] || status=0
    rm -f "$work/$1.pid"
    case $status in
    0 | 137) ;;
    *) tail -n 20 "$work/$1.log" ;;
    esac
    return "$status"
}

# report ok|no NAME REASON [FILE]: prints the result of a check; after a failure also the last lines of the file.
report()
{
    if [ "$1" = ok ]; then
        echo "ok: $2"
        return
    fi
    echo "FAILED: $2 ($3)"
    [ -z "${4:-}" ] || tail -n 20 "$4" | sed 's/^/    /'
    failures=$((failures + 1))
}

# is NAME EXPECTED ACTUAL: checks that the values are equal
is()
{
    if [ "$2" = "$3" ]; then report ok "$1"; else report no "$1" "$3, not $2"; fi
}

# holds NAME EXPRESSION...: checks an expression of test(1)
holds()
{
    name=$1
    shift
    if [ "$@" ]; then report ok "$name"; else report no "$name" "not $*"; fi
}

# works NAME COMMAND...: checks that the command exits with status 0 within a minute.
works()
{
    name=$1
    shift
    if timeout 60 "$@" >"$work/out" 2>&1 </dev/null; then
        report ok "$name"
    else
        report no "$name" "$1: exit status $?" "$work/out"
    fi
}

# fails NAME COMMAND...: checks that the command exits with another status within a minute.
fails()
{
    name=$1
    shift
    status=0
    timeout 60 "$@" >"$work/out" 2>&1 </dev/null || status=$?
    case $status in
    0 | 124) report no "$name" "$1: exit status $status" "$work/out" ;;
    *) report ok "$name" ;;
    esac
}

# prints NAME PATTERN [FILE]: checks that a line of the last command's output, or of the file, matches the extended
# regular expression.
prints()
{
    if grep -Eq -e "$2" "${3:-$work/out}"; then
        report ok "$1"
    else
        report no "$1" "no line matches $2" "${3:-$work/out}"
    fi
}

# same NAME FILE FILE: checks that the files are identical
same()
{
    if cmp "$2" "$3" >"$work/out" 2>&1; then report ok "$1"; else report no "$1" "they differ" "$work/out"; fi
}

# stats NAME: makes a server that was started with stats=$work/NAME.stats write a report, which stat_of reads.  An empty
# line ends the report.
stats()
{
    : >"$work/$1.stats"
    eval "kill -USR1 \$started_$1"
    for _ in $(seq 300); do
        ! grep -q '^$' "$work/$1.stats" || return 0
        sleep 0.1
    done
    report no "SIGUSR1 gives statistics" "there is no report after half a minute" "$work/$1.log"
}

# stat_of NAME KEY: prints a value of the last report.
stat_of()
{
    sed -n "s/^$2=//p" "$work/$1.stats" | tail -n 1
}

# text_file PATH BYTES: creates a compressible file in which no two units are equal.
text_file()
{
    seq 1 1000000 | awk '{ print "line", $1, "of a text that is easy to compress" }' | head -c "$2" >"$1"
}

finish()
{
    [ "$failures" -eq 0 ] || {
        echo "$failures checks failed"
        exit 1
    }
    exit 0
}
