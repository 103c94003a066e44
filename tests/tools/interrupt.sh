#!/bin/sh
# SPDX-License-Identifier: MIT
#
# A signal ends the tool and its child, and no file is left. An ignored SIGCHLD changes nothing.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers hang copying
text_file "$work/text" 131072
# A shell that is not interactive starts background processes with SIGINT ignored, and the tool does not change that.
env --default-signal=INT true 2>/dev/null || {
    echo "env(1) cannot give SIGINT its default action"
    exit 77
}

# children: prints the number of processes that have the plugin mapped, which are the children that are alive
children()
{
    grep -l "$work/plugins/hang.so" /proc/[0-9]*/maps 2>/dev/null | wc -l
}

# await N: waits up to a minute until there are N children
await()
{
    tries=0
    while [ "$(children)" -ne "$1" ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

# The program that starts the tool may have ignored SIGCHLD, as many daemons do. Without a status of its children the
# tool would wait for ever. The script with which libtool starts the tool would undo this.
program=$builddir/tools/.libs/zpoolctl
[ -x "$program" ] || program=$zpoolctl
for arguments in "info copying" "store -t copying $work/text" "check --case driver_is_found_by_its_name copying"; do
    status=0
    # shellcheck disable=SC2086 # it is a list of words
    LD_LIBRARY_PATH=$builddir/libzpool/.libs:$builddir/store/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        timeout -s KILL 120 env --ignore-signal=CHLD "$program" $arguments >"$work/out" 2>"$work/err" || status=$?
    exits "an ignored SIGCHLD does not matter to ${arguments%% *}" 0
done

for signal in INT TERM HUP; do
    case $signal in
        INT) number=2 ;;
        TERM) number=15 ;;
        HUP) number=1 ;;
    esac
    env --default-signal=INT "$zpoolctl" store --timeout 600 -t hang "$work/text" >"$work/out" 2>"$work/err" &
    pid=$!
    # The first child only opens a pool. The second one, which hangs, has the input open.
    tries=0
    while [ "$(find "/proc/$pid/fd" -lname '*(deleted)' 2>/dev/null | wc -l)" -lt 1 ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    await 1
    is "$signal: the child is running" 1 "$(children)"
    is "$signal: temporary files have no name" "" "$(ls -A "$work/tmp")"
    status=0
    kill -$signal $pid
    wait $pid || status=$?
    exits "$signal: the exit status is that of the signal" $((128 + number))
    await 0
    is "$signal: no child is left" 0 "$(children)"
    is "$signal: no file is left" "" "$(ls -A "$work/tmp")"
    is "$signal: no table is printed" 0 "$(grep -c DRIVER "$work/out")"
done

# The cases of a check run in processes of their own. Results from before the interruption are still reported.
env --default-signal=INT "$zpoolctl" check --jobs 2 --timeout 600 --case file_is_a_plugin --case driver_is_found_by_its_name \
    "$work/plugins/hang.so" >"$work/out" 2>"$work/err" &
pid=$!
tries=0
until grep -q '^ok 1' "$work/out" || [ $tries -ge 600 ]; do
    sleep 0.1
    tries=$((tries + 1))
done
await 1
status=0
kill -INT $pid
wait $pid || status=$?
exits "the exit status of an interrupted check is that of the signal" 130
await 0
is "none of its processes is left" 0 "$(children)"
prints "a case that had passed is reported" "^ok 1 - hang: file_is_a_plugin\$"
prints_not "a case that had not finished is not reported" "^(not )?ok 2"
warns "the interruption is reported" "interrupted"
finish
