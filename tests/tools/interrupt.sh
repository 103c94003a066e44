#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Signals: the tool goes, its child goes, and nothing stays.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers hang
text_file "$work/text" 131072
# A shell that is not interactive starts what runs beside it with SIGINT ignored, and the tool leaves that so.
env --default-signal=INT true 2>/dev/null || {
    echo "env(1) cannot give SIGINT its default action"
    exit 77
}

# Processes that have the plugin mapped: the child, while it lives.
children()
{
    grep -l "$work/plugins/hang.so" /proc/[0-9]*/maps 2>/dev/null | wc -l
}

# Wait, for at most a minute, until so many children are there.
await()
{
    tries=0
    while [ "$(children)" -ne "$1" ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
}

for signal in INT TERM HUP; do
    case $signal in
        INT) number=2 ;;
        TERM) number=15 ;;
        HUP) number=1 ;;
    esac
    env --default-signal=INT "$zpoolctl" store --timeout 600 -t hang "$work/text" >"$work/out" 2>"$work/err" &
    pid=$!
    # The first child only opens a pool; wait for the second, which has the input open and hangs.
    tries=0
    while [ "$(find "/proc/$pid/fd" -lname '*(deleted)' 2>/dev/null | wc -l)" -lt 2 ] && [ $tries -lt 600 ]; do
        sleep 0.1
        tries=$((tries + 1))
    done
    await 1
    is "$signal: the child is there" 1 "$(children)"
    is "$signal: no file has a name while it works" "" "$(ls -A "$work/tmp")"
    status=0
    kill -$signal $pid
    wait $pid || status=$?
    exits "$signal ends the tool as the signal does" $((128 + number))
    await 0
    is "$signal: no child is left" 0 "$(children)"
    is "$signal: no file is left" "" "$(ls -A "$work/tmp")"
    is "$signal: no table is printed" 0 "$(grep -c DRIVER "$work/out")"
done

# The cases of a check are in processes of their own, and what was found before the interruption is reported.
env --default-signal=INT "$zpoolctl" check --jobs 2 --timeout 600 --case file_is_a_plugin --case pool_can_be_made \
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
exits "a check that is interrupted ends as the signal does" 130
await 0
is "none of its processes is left" 0 "$(children)"
prints "what had passed is reported" "^ok 1 - hang: file_is_a_plugin\$"
prints_not "what had not ended is not" "^(not )?ok 2"
says "that it was interrupted is said" "interrupted"
finish
