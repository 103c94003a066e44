#!/bin/sh
# SPDX-License-Identifier: MIT
#
# memory.sh - the memory that a disk takes, its limit, and how it is reported

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin

# 16 MiB that do not shrink.
dd if=/dev/urandom of="$work/noise" bs=1M count=16 2>/dev/null
head -c 16777216 /dev/zero >"$work/zeroes"

start disk "$plugin" 16M stats="$work/disk.stats" || finish
stats disk
empty=$(stat_of disk total_bytes)
is "a new disk has no units" 0 "$(stat_of disk units)"
works "zeroes are written" nbdcopy --allocated "$work/zeroes" "$(uri disk)"
stats disk
holds "zeroes take next to nothing" "$(stat_of disk total_bytes)" -lt $((empty + 1048576))
works "noise is written" nbdcopy "$work/noise" "$(uri disk)"
stats disk
full=$(stat_of disk total_bytes)
is "every unit is there" 4096 "$(stat_of disk units)"
holds "noise takes what it has" "$full" -gt 16777216
holds "noise takes little more" "$full" -lt 18500000
is "the size is told" 16777216 "$(stat_of disk size_bytes)"
works "zeroes are written over it" nbdcopy "$work/zeroes" "$(uri disk)"
stats disk
holds "what was freed is given back" "$(stat_of disk total_bytes)" -lt 3000000
stop disk
is "nbdkit ends well" 0 "$?"
is "the last report is written at exit" 2 "$(grep -c '^$' "$work/disk.stats")"

# Units that are trimmed one by one leave holes, which are closed.
if [ -x "$client" ]; then
    text_file "$work/text" 33554432
    start thin "$plugin" 32M stats="$work/thin.stats" || finish
    works "a text is written" nbdcopy "$work/text" "$(uri thin)"
    stats thin
    before=$(stat_of thin pool_bytes)
    works "every second unit is trimmed" "$client" thin "$(uri thin)"
    stats thin
    is "half of the units are left" 4096 "$(stat_of thin units)"
    holds "most of their memory is given back" $(($(stat_of thin pool_bytes) * 10)) -lt $((before * 7))
    works "the rest is read" nbdcopy "$(uri thin)" "$work/copy"
    stop thin
fi

# At the limit a disk is full; what was written stays, and room is made by trimming.  (One request at a time, because
# nbdkit before 1.34 may fail an assertion when a client hangs up and other replies are still to be sent.)
start full "$plugin" 16M limit=8M stats="$work/full.stats" || finish
fails "writing beyond the limit fails" nbdcopy --synchronous "$work/noise" "$(uri full)"
prints "the client is told that the disk is full" 'No space left on device'
prints "the log names the limit" 'limit' "$work/full.log"
stats full
holds "the limit is kept" "$(stat_of full total_bytes)" -le 8388608
holds "most of it is used" "$(stat_of full total_bytes)" -gt 7000000
works "zeroing makes room" nbdcopy "$work/zeroes" "$(uri full)"
head -c 4194304 "$work/noise" >"$work/less"
truncate -s 16M "$work/less"
works "what fits is written afterwards" nbdcopy "$work/less" "$(uri full)"
works "it is read" nbdcopy "$(uri full)" "$work/copy"
same "it is identical" "$work/less" "$work/copy"
stop full
finish
