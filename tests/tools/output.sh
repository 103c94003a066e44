#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What zpoolctl writes is there as a whole, or there is a message, a failure and nothing left behind.

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud libc trace
text_file "$work/input" 400000
: >"$work/out"
: >"$work/err"

# limited BLOCKS ARGUMENT...: run, with files that may have so many blocks of 512 bytes
limited()
{
    blocks=$1
    shift
    status=0
    (
        # shellcheck disable=SC3045
        ulimit -f "$blocks" 2>/dev/null || exit 99
        exec "$zpoolctl" "$@" 2>&1 >/dev/null </dev/null
    ) | cat >"$work/err" 2>&1
    # The status is that of cat; the message says what there is to say.
}
# nothing_left NAME: no temporary file is in the folder of outputs
nothing_left()
{
    is "$1" "" "$(find "$work/results" "$work/project" -name '.zpoolctl*' -o -name '*.c' 2>/dev/null)"
}
mkdir "$work/results"
sizes=$work/results/sizes

# --- Standard output -------------------------------------------------------------------------------------------------

if [ -w /dev/full ]; then
    for arguments in list 'list --json' 'info zbud' --help --version 'store --help' "store -t zbud $work/input" \
        "store -t zbud --json $work/input"; do
        status=0
        # shellcheck disable=SC2086
        "$zpoolctl" $arguments >/dev/full 2>"$work/err" </dev/null || status=$?
        exits "$arguments: a full disk is a failure" 1
        says "$arguments: and the message says so" 'cannot write to standard output'
    done
fi
status=0
"$zpoolctl" list >&- 2>"$work/err" </dev/null || status=$?
exits "a closed standard output is a failure" 1
says "and the message says so" 'cannot write to standard output'
status=0
"$zpoolctl" store -t zbud "$work/input" >&- 2>"$work/err" <&- || status=$?
exits "no file that is opened takes its place" 1
says "and the message says so" 'cannot write to standard output'
limited 0 store -t zbud "$work/input"
says "a file size limit is a message, not a signal" 'cannot write a temporary file in .*: File too large'
(
    # shellcheck disable=SC3045
    ulimit -f 0
    "$zpoolctl" --help 2>&1 >"$work/cut" </dev/null
    echo "status $?"
) | cat >"$work/err"
says "so is one that standard output meets" 'cannot write to standard output: File too large'
says "and a failure" '^status 1'
(
    trap '' PIPE
    "$zpoolctl" --help 2>"$work/err" </dev/null
    echo $? >"$work/status"
) | :
status=$(cat "$work/status")
exits "an ignored SIGPIPE is a failure" 1
says "with a message" 'cannot write to standard output: Broken pipe'

# --- Files -----------------------------------------------------------------------------------------------------------

run store -t zbud --sizes "$sizes" "$work/input"
exits "sizes are written" 0
cp "$sizes" "$work/expected"
is "with the usual permissions" 644 "$(stat -c %a "$sizes")"
printf 'old\n' >"$sizes"
chmod 640 "$sizes"
ln "$sizes" "$work/results/second"
run store -t zbud --sizes "$sizes" "$work/input"
is "a file with two names stays one file" same "$(cmp -s "$work/results/second" "$work/expected" && echo same)"
rm "$work/results/second"
ln -s sizes "$work/results/link"
run store -t zbud --sizes "$work/results/link" "$work/input"
is "a symbolic link stays one" sizes "$(readlink "$work/results/link")"
is "and leads to what was written" same "$(cmp -s "$sizes" "$work/expected" && echo same)"
is "permissions stay" 640 "$(stat -c %a "$sizes")"
rm "$sizes"
run store -t zbud --sizes "$work/results/link" "$work/input"
is "a symbolic link to nothing makes its target" same "$(cmp -s "$sizes" "$work/expected" && echo same)"

# Units of one byte, of which the sizes take two each: they are too many for a limit that lets the units through.
block=512
(
    # shellcheck disable=SC3045
    ulimit -f 1 2>/dev/null
    trap '' XFSZ
    head -c 2000 /dev/zero >"$work/block"
) 2>/dev/null || block=$(wc -c <"$work/block")
mkdir "$work/many"
text_file "$work/bytes" 2500
split -b 1 -a 3 "$work/bytes" "$work/many/"
printf 'old\n' >"$sizes"
limited $((4096 / block)) store -t zbud --sizes "$sizes" "$work/many"
says "sizes above the limit are a failure" 'sizes: cannot be written: File too large'
is "and the old file is as it was" old "$(cat "$sizes")"
nothing_left "and no temporary file stays"
rm -f "$sizes"
limited $((4096 / block)) store -t zbud --sizes "$sizes" "$work/many"
says "and so where there was no file" 'sizes: cannot be written: File too large'
is "and none is made" "" "$(find "$work/results" -type f)"

if [ -w /dev/full ]; then
    run store -t zbud --sizes /dev/full "$work/input"
    exits "sizes on a full disk are a failure" 1
    says "and the message says so" '/dev/full: cannot be written: No space left'
fi
run store -t zbud --sizes /dev/null "$work/input"
exits "sizes may be thrown away" 0
run store -t zbud --sizes "$work/results" "$work/nowhere"
says "a folder is refused before anything is read" 'results: cannot be written: Is a directory'
mkfifo "$work/fifo"
status=0
timeout 20 "$zpoolctl" store -t zbud --sizes "$work/fifo" "$work/input" >"$work/out" 2>"$work/err" || status=$?
exits "a FIFO that nobody reads is not waited for" 1
says "and the message says so" 'fifo: cannot be written: no process has it open for reading'
timeout 60 cat "$work/fifo" >"$work/read" &
reader=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do
    timeout 20 "$zpoolctl" store -t zbud --sizes "$work/fifo" "$work/input" >"$work/out" 2>"$work/err" && break
done
wait "$reader"
is "one that is read gets all of it" same "$(cmp -s "$work/read" "$work/expected" && echo same)"

limited 0 new --dir "$work/project" mine
says "a project that cannot be written is a message" 'cannot write .*File too large; everything written so far was removed'
is "and no folder" "" "$(find "$work" -name project)"
run new --dir "$work/project" mine
exits "the next try finds nothing in its way" 0
rm -r "$work/project"

run check --junit "$work/nowhere/report.xml" zbud
exits "a report that cannot be written is a failure" 1
says "before the checks begin" 'nowhere/report.xml: cannot be written: No such file'
finish
