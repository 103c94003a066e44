#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Statistics of the current pools are written to the file that ZPOOL_STATS names, and printed after SIGUSR1.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud libc zsmalloc sieve trace
text_file "$work/text" 131072
ZPOOL_STATS=$work/stats
export ZPOOL_STATS

echo "what was there before" >"$work/stats"
run store -t zbud:limit=1M "$work/text"
exits "store succeeds" 0
silent "there is no message about the file"
cp "$work/stats" "$work/out"
is "there is one line" 1 "$(wc -l <"$work/stats")"
is "the line has the spec of the pool" zbud:limit=1M "$(value pools 0 spec)"
is "the line has the limit of the pool" 1048576 "$(value pools 0 limit_bytes)"
is "the line has the objects of the pool" 32 "$(value pools 0 layers 0 statistics objects)"
is "the line has no other pool" 1 "$(value pools length)"
run store -t zbud -t libc "$work/text"
is "each driver has a line" 2 "$(grep -c '^{"version":.*}$' "$work/stats")"
run store -t "trace:file=$work/trace+libc" "$work/text"
run replay "$work/trace"
exits "replay succeeds" 0
cp "$work/stats" "$work/out"
is "replay writes statistics, too" 32 "$(value pools 0 layers 0 statistics objects)"
ZPOOL_STATS=$work/nowhere/stats
run store -t zbud "$work/text"
exits "a file that cannot be written is a failure" 1
warns "the message names the file" "ZPOOL_STATS: cannot write $work/nowhere/stats: No such file or directory"
mkfifo "$work/unread"
ZPOOL_STATS=$work/unread
run store -t zbud "$work/text"
exits "a FIFO without a reader is a failure and does not hang" 1
if [ -w /dev/full ]; then
    ZPOOL_STATS=/dev/full
    run store -t zbud "$work/text"
    warns "a full disk is reported" "ZPOOL_STATS: .*No space left on device"
    exits "a full disk is a failure" 1
    run replay --type zsmalloc "$work/trace"
    exits "a full disk is a failure of replay, too" 1
fi
# Half a line would mislead a reader, so none is left.
ZPOOL_STATS=$work/stats
run replay --type zsmalloc "$work/trace"
(
    # The unit of this limit differs between shells.
    # shellcheck disable=SC3045
    ulimit -f 1 2>/dev/null
    trap '' XFSZ
    head -c 4000 /dev/zero >"$work/block"
) 2>/dev/null || :
if [ "$(wc -c <"$work/stats")" -gt "$(wc -c <"$work/block")" ]; then
    (
        # shellcheck disable=SC3045
        ulimit -f 1
        exec "$zpoolctl" replay --type zsmalloc "$work/trace" 2>&1 >/dev/null </dev/null
    ) | cat >"$work/err"
    warns "a line that does not fit is reported" "ZPOOL_STATS: .*File too large"
    is "no part of the line is left" "" "$(cat "$work/stats")"
fi
# The reader of a FIFO leaves after the tool has opened it, but before there is anything to read. The input is larger
# than a pipe, so when all of it is written, the tool has begun to read, and has opened the FIFO before that.
mkfifo "$work/left"
exec 4<>"$work/left"
ZPOOL_STATS=$work/left "$zpoolctl" store -t zbud - <"$work/unread" >"$work/out" 2>"$work/err" 4>&- &
tool=$!
exec 3>"$work/unread"
cat "$work/text" >&3
exec 4>&-
exec 3>&-
status=0
wait $tool || status=$?
exits "the tool fails if the reader leaves" 1
prints "the tool continues if the reader leaves" "^zbud .* identical"
warns "the closed pipe is reported" "ZPOOL_STATS: .*Broken pipe"
ZPOOL_STATS=
unset ZPOOL_STATS

# The tool waits for its input when the signal arrives, so the first pool prints its statistics.
mkfifo "$work/fifo"
"$zpoolctl" store -t zbud -t libc -t zsmalloc - <"$work/fifo" >"$work/out" 2>"$work/err" &
tool=$!
exec 3>"$work/fifo"
tries=0
# Waits until the tool catches SIGUSR1, which is bit 9 of the mask; libtool's wrapper executes the tool.
until grep -Eq '^SigCgt:.*[2367abef]..$' "/proc/$tool/status" 2>/dev/null || [ $tries -ge 300 ]; do
    tries=$((tries + 1))
    sleep 0.1
done
kill -USR1 $tool
cat "$work/text" >&3
exec 3>&-
status=0
wait $tool || status=$?
exits "a signal does not end the tool" 0
warns "the pool is printed" '^pool ".*": "zbud"'
is "one signal prints one pool" 1 "$(grep -c '^pool ' "$work/err")"
warns "the counters are printed" '^ +held at most +[0-9]+ B'
prints "the table follows" "^zbud .* identical"
finish
