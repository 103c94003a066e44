#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl either writes its output completely, or fails with a message and leaves nothing behind.

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud libc trace
text_file "$work/input" 400000
: >"$work/out"
: >"$work/err"

# limited BLOCKS ARGUMENT...: runs the tool with a limit on file sizes, in blocks of 512 bytes
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
    # The exit status of this pipeline is that of cat, so only the message is checked.
}
# nothing_left NAME: no temporary file may be in the output directory
nothing_left()
{
    is "$1" "" "$(find "$work/results" "$work/project" -name '.zpoolctl*' -o -name '*.c' 2>/dev/null)"
}
mkdir "$work/results"
sizes=$work/results/sizes

# --- Standard output -------------------------------------------------------------------------------------------------

"$zpoolctl" store -t "trace:file=$work/trace+zbud" "$work/input" >"$work/out" 2>"$work/err"
quick='--case driver_is_found_by_its_name zbud'
if [ -w /dev/full ]; then
    for arguments in list 'list --json' 'info zbud' 'info --json zbud' --help --version 'store --help' \
        "store -t zbud $work/input" "store -t zbud --json $work/input" "check $quick" "check --json $quick" \
        'check --list' "replay $work/trace" "replay --json $work/trace" 'bench --help' "new --dir $work/lost lost"; do
        status=0
        # shellcheck disable=SC2086
        "$zpoolctl" $arguments >/dev/full 2>"$work/err" </dev/null || status=$?
        exits "$arguments: a full disk is a failure" 1
        warns "$arguments: the message has the reason" 'cannot write to standard output'
    done
fi
status=0
"$zpoolctl" list >&- 2>"$work/err" </dev/null || status=$?
exits "a closed standard output is a failure" 1
warns "the message has the reason" 'cannot write to standard output'
status=0
"$zpoolctl" store -t zbud "$work/input" >&- 2>"$work/err" <&- || status=$?
exits "no opened file replaces the closed standard output" 1
warns "the message has the reason" 'cannot write to standard output'

# Without a standard error there is no message, but the exit status remains. No file may take its descriptor.
for stream in '&-' /dev/full; do
    [ "$stream" != /dev/full ] || [ -w /dev/full ] || continue
    for arguments in 'info no_such_driver' "store -t no_such_driver $work/input" "store -t zbud $work/nowhere" \
        "replay $work/nowhere" 'check no_such_driver' 'bench --type no_such_driver' "new --dir $work/nowhere/x mine"; do
        status=0
        # shellcheck disable=SC2086
        eval '"$zpoolctl" $arguments >"$work/out" 2>'"$stream" </dev/null || status=$?
        exits "$arguments: a failure without standard error ($stream) is a failure" 1
    done
    status=0
    eval '"$zpoolctl" store -t zbud "$work/input" >"$work/out" 2>'"$stream" </dev/null || status=$?
    exits "store succeeds without standard error ($stream)" 0
    prints "its table is complete" '^zbud .* identical'
    status=0
    # shellcheck disable=SC2086
    eval '"$zpoolctl" check $quick >"$work/out" 2>'"$stream" </dev/null || status=$?
    exits "check succeeds without standard error ($stream)" 0
done
limited 0 store -t zbud "$work/input"
warns "a file size limit is a message, not a signal" 'cannot write a temporary file in .*: File too large'
# An input of several megabytes meets the limit while it is read, and not only when all of it has been read.
random_file "$work/large" 6000000
limited 4096 store -t zbud "$work/large"
warns "a file size limit ends the reading" 'cannot write a temporary file in .*: File too large'
is "there is no other message" 1 "$(grep -c '^zpoolctl' "$work/err")"
(
    # shellcheck disable=SC3045
    ulimit -f 0
    "$zpoolctl" --help 2>&1 >"$work/cut" </dev/null
    echo "status $?"
) | cat >"$work/err"
warns "a file size limit on standard output is a message" 'cannot write to standard output: File too large'
warns "a file size limit on standard output is a failure" '^status 1'
(
    trap '' PIPE
    "$zpoolctl" --help 2>"$work/err" </dev/null
    echo $? >"$work/status"
) | :
status=$(cat "$work/status")
exits "an ignored SIGPIPE is a failure" 1
warns "an ignored SIGPIPE is a message" 'cannot write to standard output: Broken pipe'

# --- Files -----------------------------------------------------------------------------------------------------------

run store -t zbud --sizes "$sizes" "$work/input"
exits "sizes are written" 0
cp "$sizes" "$work/expected"
is "a new file has the usual permissions" 644 "$(stat -c %a "$sizes")"
printf 'old\n' >"$sizes"
chmod 640 "$sizes"
ln "$sizes" "$work/results/second"
run store -t zbud --sizes "$sizes" "$work/input"
is "a file with two names stays one file" same "$(cmp -s "$work/results/second" "$work/expected" && echo same)"
rm "$work/results/second"
ln -s sizes "$work/results/link"
run store -t zbud --sizes "$work/results/link" "$work/input"
is "a symbolic link stays a symbolic link" sizes "$(readlink "$work/results/link")"
is "the link leads to the new contents" same "$(cmp -s "$sizes" "$work/expected" && echo same)"
is "permissions are kept" 640 "$(stat -c %a "$sizes")"
rm "$sizes"
run store -t zbud --sizes "$work/results/link" "$work/input"
is "writing to a dangling symbolic link creates its target" same "$(cmp -s "$sizes" "$work/expected" && echo same)"

# The units have one byte each, and their sizes need two bytes each: the limit allows the units, but not their sizes.
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
warns "sizes above the limit are a failure" 'sizes: cannot be written: File too large'
is "the old file has not changed" old "$(cat "$sizes")"
nothing_left "no temporary file is left"
rm -f "$sizes"
limited $((4096 / block)) store -t zbud --sizes "$sizes" "$work/many"
warns "sizes above the limit are a failure without an old file, too" 'sizes: cannot be written: File too large'
is "no file is created" "" "$(find "$work/results" -type f)"

if [ -w /dev/full ]; then
    run store -t zbud --sizes /dev/full "$work/input"
    exits "sizes on a full disk are a failure" 1
    warns "the message has the reason" '/dev/full: cannot be written: No space left'
fi
run store -t zbud --sizes /dev/null "$work/input"
exits "sizes can be written to /dev/null" 0
# Standard output is a file here: the sizes follow the table, and what stood in the file before stays.
echo before >"$work/log"
"$zpoolctl" store -t zbud --sizes /dev/stdout "$work/input" >>"$work/log" 2>"$work/err" || :
is "sizes are appended to standard output" "before $(wc -l <"$work/expected")" \
    "$(head -n 1 "$work/log") $(grep -c '^[0-9][0-9]*$' "$work/log")"
is "the table is on standard output, too" 1 "$(grep -c '^zbud .* identical' "$work/log")"
run store -t zbud --sizes "$work/results" "$work/nowhere"
warns "a directory is refused before anything is read" 'results: cannot be written: Is a directory'
mkfifo "$work/fifo"
status=0
timeout 20 "$zpoolctl" store -t zbud --sizes "$work/fifo" "$work/input" >"$work/out" 2>"$work/err" || status=$?
exits "a FIFO without a reader is a failure" 1
warns "the message has the reason" 'fifo: cannot be written: no process has it open for reading'
timeout 60 cat "$work/fifo" >"$work/read" &
reader=$!
for _ in $(seq 300); do
    timeout 20 "$zpoolctl" store -t zbud --sizes "$work/fifo" "$work/input" >"$work/out" 2>"$work/err" && break
    sleep 0.1
done
wait "$reader"
is "the reader of a FIFO receives everything" same "$(cmp -s "$work/read" "$work/expected" && echo same)"

limited 0 new --dir "$work/project" mine
warns "a project that cannot be written is reported" 'cannot write .*File too large; everything written so far was removed'
is "no directory is left" "" "$(find "$work" -name project)"
run new --dir "$work/project" mine
exits "the next try succeeds" 0
rm -r "$work/project"

run check --junit "$work/nowhere/report.xml" zbud
exits "a report that cannot be written is a failure" 1
warns "the failure is reported before the checks begin" 'nowhere/report.xml: cannot be written: No such file'
finish
