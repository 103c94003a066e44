#!/bin/sh
# SPDX-License-Identifier: MIT
#
# memory.sh - a disk takes the memory that it reports, and stays below its limit

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin

# The noise has 16 MiB, which do not compress.
dd if=/dev/urandom of="$work/noise" bs=1M count=16 2>/dev/null
head -c 16777216 /dev/zero >"$work/zeroes"

start disk "$plugin" 16M stats="$work/disk.stats" || finish
stats disk
empty=$(stat_of disk total_bytes)
is "a new disk has no units" 0 "$(stat_of disk units)"
works "nbdcopy writes zeroes" nbdcopy --allocated "$work/zeroes" "$(uri disk)"
stats disk
holds "zeroes take almost no memory" "$(stat_of disk total_bytes)" -lt $((empty + 1048576))
works "nbdcopy writes noise" nbdcopy "$work/noise" "$(uri disk)"
stats disk
full=$(stat_of disk total_bytes)
is "the disk has every unit" 4096 "$(stat_of disk units)"
holds "noise takes at least its own size" "$full" -gt 16777216
holds "noise takes little more than its size" "$full" -lt 18500000
is "the statistics report the size" 16777216 "$(stat_of disk size_bytes)"
works "nbdcopy overwrites the noise with zeroes" nbdcopy "$work/zeroes" "$(uri disk)"
stats disk
holds "the disk releases the freed memory" "$(stat_of disk total_bytes)" -lt 3000000
stop disk
is "nbdkit exits with status 0" 0 "$?"
is "nbdkit writes the last report at exit" 2 "$(grep -c '^$' "$work/disk.stats")"

# Units that are trimmed one by one leave holes in the pool, which the disk compacts.
if [ -x "$client" ]; then
    text_file "$work/text" 33554432
    start thin "$plugin" 32M stats="$work/thin.stats" || finish
    works "nbdcopy writes a text" nbdcopy "$work/text" "$(uri thin)"
    stats thin
    before=$(stat_of thin pool_bytes)
    works "the client trims every second unit" "$client" thin "$(uri thin)"
    stats thin
    is "half of the units are left" 4096 "$(stat_of thin units)"
    # The units lie in some thirty size classes, and automatic compaction leaves each of them a few pages of free slots.
    holds "the disk releases most of the trimmed memory" $(($(stat_of thin pool_bytes) * 4)) -lt $((before * 3))
    works "nbdcopy reads the rest" nbdcopy "$(uri thin)" "$work/copy"
    stop thin
fi

# Units of 512 bytes of a text shrink more with a dictionary, which is trained or given.
text_file "$work/text" 8388608
start plain "$plugin" 8M compressor=zstd:1 unit=512 stats="$work/plain.stats" || finish
works "nbdcopy writes a text in small units" nbdcopy "$work/text" "$(uri plain)"
stats plain
start trained "$plugin" 8M compressor=zstd:1 unit=512 train=4000 stats="$work/trained.stats" || finish
works "nbdcopy writes it to a disk that trains a dictionary" nbdcopy "$work/text" "$(uri trained)"
# A thread trains the dictionary beside the writes, and units that are written meanwhile have none.
for _ in $(seq 300); do
    stats trained
    [ "$(stat_of trained dictionaries_trained)" != 1 ] || break
    sleep 0.1
done
is "the disk has trained a dictionary" 1 "$(stat_of trained dictionaries_trained)"
works "nbdcopy writes it again" nbdcopy "$work/text" "$(uri trained)"
stats trained
holds "the trained dictionary makes the units shorter" $(($(stat_of trained stored_bytes) * 10)) -lt $(($(stat_of plain stored_bytes) * 9))
works "nbdcopy reads the text" nbdcopy "$(uri trained)" "$work/copy"
same "nbdcopy reads what it has written" "$work/text" "$work/copy"
stop plain
stop trained
head -c 4096 "$work/text" >"$work/dictionary"
start given "$plugin" 8M compressor=zstd:1 unit=512 dictionary="$work/dictionary" stats="$work/given.stats" || finish
works "nbdcopy writes it to a disk with a dictionary" nbdcopy "$work/text" "$(uri given)"
stats given
is "all units were compressed with the dictionary" "$(stat_of given units)" "$(stat_of given dictionary_units)"
holds "the given dictionary makes the units shorter" $(($(stat_of given stored_bytes) * 10)) -lt $(($(stat_of plain stored_bytes) * 9))
works "nbdcopy reads the text" nbdcopy "$(uri given)" "$work/copy"
same "nbdcopy reads what it has written" "$work/text" "$work/copy"
stop given

# A disk is full when it reaches its limit; the data that were written stay, and trimming makes room.  (The copy sends
# one request at a time, because nbdkit before 1.34 may fail an assertion when a client disconnects while other replies
# are pending.)
start full "$plugin" 16M limit=8M stats="$work/full.stats" || finish
fails "writing beyond the limit fails" nbdcopy --synchronous "$work/noise" "$(uri full)"
prints "the client gets the error that the disk is full" 'No space left on device'
prints "the log names the limit" 'limit' "$work/full.log"
stats full
holds "the disk stays below its limit" "$(stat_of full total_bytes)" -le 8388608
holds "the disk uses most of its limit" "$(stat_of full total_bytes)" -gt 7000000
works "zeroing makes room" nbdcopy "$work/zeroes" "$(uri full)"
head -c 4194304 "$work/noise" >"$work/less"
truncate -s 16M "$work/less"
works "nbdcopy writes an image that fits" nbdcopy "$work/less" "$(uri full)"
works "nbdcopy reads the image" nbdcopy "$(uri full)" "$work/copy"
same "the copy is identical" "$work/less" "$work/copy"
stop full

# A guest that trims because its disk is full gets no error, also if it does not know the length of a unit.
if [ -x "$client" ]; then
    for driver in zsmalloc libc; do
        start full "$plugin" 16M unit=64K limit=8M driver=$driver || finish
        works "$driver: parts of units are trimmed on a full disk" "$client" full "$(uri full)"
        stop full
    done
fi

# The limit may also be one of the pool alone.
start full "$plugin" 16M driver=guard+zsmalloc:chain=8,limit=8M || finish
fails "writing beyond the pool's limit fails" nbdcopy --synchronous "$work/noise" "$(uri full)"
prints "the client gets the same error" 'No space left on device'
stop full

# wait_for PATTERN FILE: waits until a line of the file matches the pattern, for three seconds
wait_for()
{
    for _ in $(seq 300); do
        ! grep -Eq "$1" "$2" || return 0
        sleep 0.1
    done
}

# Statistics are printed to standard error if there is no file for them.
start told "$plugin" 1M || finish
eval "kill -USR1 \$started_told"
wait_for '^ratio=' "$work/told.log"
prints "SIGUSR1 prints statistics to standard error" '^size_bytes=1048576$' "$work/told.log"
stop told

# They are lost if the file system is full, and the disk works on.
start deaf "$plugin" 1M stats=/dev/full || finish
eval "kill -USR1 \$started_deaf"
wait_for 'could not be written' "$work/deaf.log"
prints "the log reports that the statistics could not be written" 'statistics could not be written: No space left' "$work/deaf.log"
works "the disk still works" nbdcopy "$(uri deaf)" "$work/copy"
stop deaf

# A filter that logs an error, here because its file reaches the limit, makes nbdkit report one, and the disk works on.
(
    ulimit -f 200
    # shellcheck disable=SC2016 # nbdkit sets uri.
    nbdkit_run --unix - "$plugin" 16M unit=512 driver="trace:file=$work/trace,overwrite=yes+zsmalloc" \
        --run 'nbdcopy --flush '"$work/noise"' "$uri"' >"$work/out" 2>&1
)
is "the disk works without its trace" 0 "$?"
prints "the error of the filter is reported" 'error: trace .*/trace cannot be written: File too large'

# A signal that is ignored when the server starts stays ignored.
trap '' USR1
start ignoring "$plugin" --verbose 1M || finish
trap - USR1
prints "the log says why SIGUSR1 prints nothing" 'SIGUSR1 is in use' "$work/ignoring.log"
eval "kill -USR1 \$started_ignoring"
works "the disk still works after the signal" nbdcopy "$(uri ignoring)" "$work/copy"
stop ignoring
is "nbdkit exits with status 0 after the signal" 0 "$?"
finish
