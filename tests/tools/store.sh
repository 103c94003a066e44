#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl store on files and directories: every kind of unit, every compressor, every driver.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud libc copying sieve

# There are 64 units of 4096 bytes: 32 compress, 16 do not, and 16 consist of one repeated word. The last unit has 100
# bytes.
mkdir -p "$work/in/deep/er"
text_file "$work/in/text" 131072
random_file "$work/in/deep/random" 65536
head -c 32768 /dev/zero >"$work/in/deep/er/zero"
i=0
while [ $i -lt 4096 ]; do
    printf abcdefgh
    i=$((i + 1))
done >"$work/in/words"
text_file "$work/in/tail" 100
: >"$work/in/empty"
ln -s text "$work/in/link"
ln "$work/in/text" "$work/in/deep/hard"
mkfifo "$work/in/pipe"

run store "$work/in"
exits "all units are read back intact" 0
silent "there is no message, and no progress bar in a pipe"
prints "the input is printed" "$work/in: 6 files, .* in 65 units of 4K"
prints "the kinds of units are printed" "^16 same-filled, 33 compressed with lz4, 16 incompressible"
prints "zbud is in the table, and refuses units of a whole page" "^zbud +65 +16 +16 .* identical: 49 of 65 compared, 16 refused\$"
prints "libc is in the table, and accepts all units" "^libc +65 +16 +0 .* identical\$"
prints "a driver that does not map is in the table" "^copying +65 +16 +0 .* identical\$"
prints_not "a filter is not tried alone" "^sieve"
prints_not "there is no column for evictions without a limit" "EVICTED"

for compressor in lz4 zstd zstd:1 zstd:19 zstd:-5; do
    run store -c "$compressor" --json "$work/in"
    exits "$compressor: all units are read back intact" 0
    name=$compressor
    [ "$name" != zstd ] || name=zstd:3
    is "$compressor: is named with its level" "$name" "$(value input compressor)"
    is "$compressor: units" 65 "$(value input units)"
    is "$compressor: bytes" 262244 "$(value input bytes)"
    is "$compressor: files" 6 "$(value input files)"
    is "$compressor: skipped" 0 "$(value input skipped)"
    is "$compressor: same-filled" 16 "$(value input same_filled)"
    is "$compressor: incompressible" 16 "$(value input incompressible)"
    is "$compressor: compressed" 33 "$(value input compressed)"
    holds "$compressor: the stored bytes are few" "$(value input stored_bytes)" -lt 120000
    for driver in zbud libc copying; do
        is "$compressor, $driver: result" identical "$(value drivers driver=$driver result)"
        is "$compressor, $driver: nothing differs" 0 "$(value drivers driver=$driver differing)"
        holds "$compressor, $driver: the pool is at least as large as the stored bytes" \
            "$(value drivers driver=$driver pool_bytes)" -ge "$(value drivers driver=$driver stored_bytes)"
    done
    is "$compressor, libc: stored" 49 "$(value drivers driver=libc stored)"
    is "$compressor, libc: all units were compared" 65 "$(value drivers driver=libc compared)"
    is "$compressor, libc: stored bytes" "$(value input stored_bytes)" "$(value drivers driver=libc stored_bytes)"
    is "$compressor, zbud: refused as too large" 16 "$(value drivers driver=zbud refused too_large)"
    is "$compressor, zbud: refused because of memory" 0 "$(value drivers driver=zbud refused no_memory)"
    is "$compressor, zbud: accepted units were compared" 49 "$(value drivers driver=zbud compared)"
    is "$compressor, zbud: stored bytes" "$(($(value input stored_bytes) - 65536))" \
        "$(value drivers driver=zbud stored_bytes)"
done

# The drivers' counters must match what the tool did.
run store --json "$work/in"
is "zbud counts its objects" "$(value drivers driver=zbud stored)" "$(value drivers driver=zbud statistics objects)"
is "zbud counts its bytes" "$(value drivers driver=zbud pool_bytes)" \
    "$(value drivers driver=zbud statistics pool_bytes)"
holds "zbud's peak is not below its size" "$(value drivers driver=zbud statistics pool_bytes_peak)" -ge \
    "$(value drivers driver=zbud pool_bytes)"
is "libc counts the stored bytes" "$(value drivers driver=libc stored_bytes)" \
    "$(value drivers driver=libc statistics stored_bytes)"
is "no object is mapped at the end" 0 "$(value drivers driver=libc statistics mapped_handles)"
is "no malloc failed" 0 "$(value drivers driver=libc statistics malloc_failed_limit)"
is "zbud has no size classes" null "$(value drivers driver=zbud classes)"
# shellcheck disable=SC2013 # each line is one word
for member in $(sed -n '/^struct zpool_stats {/,/^}/s/^.*uint64_t \([a-z_]*\);.*/\1/p' "${srcdir:-.}/libzpool/zpool.h"); do
    holds "the statistics have $member" "$(value drivers driver=zbud statistics "$member")" -ge 0
done
is "a driver without counters has no statistics" null "$(value drivers driver=copying statistics)"
run store --stats "$work/in"
exits "with statistics: all units are read back intact" 0
prints "each driver with counters has a column, and no others have" "^STATISTICS +libc +zbud\$"
prints "there is a line for objects" "^objects +49 +33\$"
prints "there is a line for the peak" "^held at most "
prints "there is a line for errors that a filter found" "^errors found +0 +0\$"
members=$(sed -n '/^struct zpool_stats {/,/^}/s/^.*uint64_t \([a-z_]*\);.*/\1/p' "${srcdir:-.}/libzpool/zpool.h")
is "statistics have a line for each member of the structure" "$(echo "$members" | wc -l)" \
    "$(sed -n '/^STATISTICS/,/^$/p' "$work/out" | grep -c '^[a-z]')"
run store "$work/in"
prints_not "statistics are not printed without --stats" "STATISTICS"
run store -t copying --stats "$work/in"
prints_not "there is no table of statistics if no driver has counters" "STATISTICS"

use_drivers zbud libc copying sieve zsmalloc
run store -t zsmalloc --json "$work/in"
is "zsmalloc counts its objects" "$(value drivers 0 stored)" "$(value drivers 0 statistics objects)"
holds "the smallest class has slots" "$(value drivers 0 classes 0 slots)" -gt 0
holds "the smallest class has a histogram" "$(value drivers 0 classes 0 fullness 0)" -ge 0
run store -t zsmalloc --stats "$work/in"
exits "with classes: all units are read back intact" 0
prints "the classes are printed" "^zsmalloc: size classes, and the number of zspages at each fill level\$"
prints "each class has a line with its fill levels" "^ *SIZE +OBJECTS +SLOTS .*<10% .*<100% +FULL\$"
run store -t zbud --limit 60K --json "$work/in"
is "evictions are counted" "$(value drivers 0 evicted)" "$(value drivers 0 statistics evictions)"
holds "mallocs that met the limit are counted" "$(value drivers 0 statistics malloc_failed_limit)" -gt 0
run store -t zsmalloc -u 64K --json "$work/in/deep/random"
exits "zsmalloc accepts an incompressible unit of 64 KiB" 0
is "the unit is stored in an object of its own length" 65536 "$(value drivers 0 stored_bytes)"
use_drivers zbud libc copying sieve

for compressor in lz4hc lz4hc:12 none; do
    run store -t libc -c "$compressor" --json "$work/in"
    exits "$compressor: all units are read back intact" 0
    is "$compressor: the stored bytes are those of the driver" "$(value input stored_bytes)" \
        "$(value drivers 0 stored_bytes)"
done
is "none: nothing is compressed" 0 "$(value input compressed)"
is "none: all units have their own length" $((49 * 4096 - 4096 + 100)) "$(value input stored_bytes)"
for unit in 512 1K 64K; do
    run store -t libc -u "$unit" --json "$work/in"
    exits "units of $unit: all units are read back intact" 0
    is "units of $unit: result" identical "$(value drivers 0 result)"
    is "units of $unit: bytes" 262244 "$(value input bytes)"
done
is "units of 64K: one for each file that is not empty, and one more for the longest" 6 "$(value input units)"

run store -t libc --sizes "$work/sizes" --json "$work/in"
exits "with --sizes, all units are read back intact" 0
is "a size is written for each stored unit" "$(value drivers 0 stored)" "$(wc -l <"$work/sizes")"
is "the sizes add up" "$(value input stored_bytes)" "$(awk '{ sum += $1 } END { print sum }' "$work/sizes")"
is "incompressible units have their own size" 16 "$(grep -c '^4096$' "$work/sizes")"
run store -t libc --sizes "$work/nowhere/sizes" "$work/in"
exits "a file that cannot be written is a failure" 1
warns "the message names the file" "$work/nowhere/sizes: cannot be written: No such file or directory"
if [ -w /dev/full ]; then
    run store -t libc --sizes /dev/full "$work/in"
    exits "a full disk is a failure" 1
    warns "the message names the full device" "/dev/full: cannot be written: No space left on device"
fi

run store --json "$work/in" "$work/in/text" "$work/in/deep" "$work/in"
is "a file that is named more than once is read once" 6 "$(value input files)"
run store -t libc --json "$work/in/link"
is "a symbolic link is followed where it is named" 1 "$(value input files)"

run store -t libc -t zbud "$work/in"
prints "drivers are in the order of the command line" "^libc "
is "no other drivers are tried" 2 "$(grep -c identical "$work/out")"

if [ -r /proc/self/status ]; then
    run store -t libc --json "$work/in/tail" /proc/self/status
    exits "files on two file systems are stored" 0
    is "both files are read" 2 "$(value input files)"
fi

# A table without a column to leave out is printed in parts, each of which begins with the first column.
COLUMNS=30 run store -t libc "$work/in"
exits "store succeeds on 30 columns" 0
is "no part of the table is wider" "" "$(awk '/^DRIVER/ { table = 1 } table && length > 30' "$work/out")"
is "each part begins with the driver" "$(grep -c '^DRIVER ' "$work/out")" "$(grep -c '^libc ' "$work/out")"
holds "the table has several parts" "$(grep -c '^DRIVER ' "$work/out")" -gt 1
is "there is an empty line before each part" "" "$(awk '/^DRIVER/ && before != "" { print } { before = $0 }' "$work/out")"

run store -t libc "$work/in" "$work/nowhere"
exits "a path that does not exist makes the status 1" 1
warns "the missing path is named" "$work/nowhere: No such file or directory; skipped"
prints "the other files are stored" "^libc .* identical\$"
prints "the number of skipped paths is printed" "6 files, 1 skipped"
run store -t libc "$work/in" "$work/in/pipe"
exits "a named pipe on the command line makes the status 1" 1
warns "the pipe is named" "in/pipe: neither a regular file nor a directory; skipped"
if [ "$(id -u)" != 0 ]; then
    chmod 0 "$work/in/tail"
    run store -t libc "$work/in"
    exits "a file that may not be read makes the status 1" 1
    warns "the unreadable file is named" "$work/in/tail: Permission denied; skipped"
    chmod 644 "$work/in/tail"
fi

run store -t libc "$work/in/words" "$work/in/deep/er/zero"
exits "an input of same-filled units only is not a failure" 0
prints "the table shows that nothing was compared" "^libc .* nothing to compare: no unit had to be stored\$"
run store -t zbud "$work/in/words" "$work/in/deep/random"
exits "same-filled units do not make up for units that were all refused" 1
prints "a driver that accepted no unit is shown as refused" "^zbud .* refused: the driver accepted no unit"

# Standard input is one stream, which can be combined with files.
store_stream()
{
    status=0
    "$zpoolctl" store "$@" >"$work/out" 2>"$work/err" || status=$?
}
status=0
cat "$work/in/text" "$work/in/tail" | "$zpoolctl" store -t libc --json - >"$work/out" 2>"$work/err" || status=$?
exits "standard input can be stored" 0
is "standard input counts as one file" 1 "$(value input files)"
is "all of it is read" 131172 "$(value input bytes)"
is "only its last unit is short" 33 "$(value input units)"
is "standard input is read back intact" identical "$(value drivers 0 result)"
store_stream -t libc --json "$work/in/text" - <"$work/in/tail"
is "a file and standard input are two inputs" 2 "$(value input files)"
is "both are read" 131172 "$(value input bytes)"
store_stream -t libc - <"$work/in/text"
prints "the report names standard input" "^Standard input: 1 file, 128K"
store_stream -t libc - </dev/null
exits "an empty standard input is a failure" 1
warns "an empty standard input is reported" "nothing to store"
store_stream -t libc - <&-
exits "a closed standard input is a failure" 1
warns "a closed standard input is reported" "standard input: Bad file descriptor"

run store "$work/in/empty"
exits "an input of empty files only is a failure" 1
warns "an input of empty files only is reported" "nothing to store"
run store "$work/nowhere"
exits "an input of missing files only is a failure" 1

run store -t nosuch "$work/in"
exits "an unknown driver is a failure" 1
warns "the message for an unknown driver has the available drivers" "^Available drivers: copying, libc, sieve, zbud\."
run store -t zbud:colour=red "$work/in"
exits "an unknown parameter is a failure" 1
warns "the message for an unknown parameter has the known parameters" 'no parameter "colour".*limit'
run store -t zbud: -t libc "$work/in"
exits "a malformed spec is a failure" 1
run store -t sieve "$work/in"
exits "a filter alone is a failure" 1
warns "the message for a filter alone says what is missing" "sieve\+DRIVER"

run store -t zbud "$work/in/deep/random"
exits "a named driver that accepts no unit is a failure" 1
prints "a named driver that accepts no unit is shown" "^zbud .* refused: the driver accepted no unit"
run store "$work/in/deep/random"
exits "a driver of the default list that accepts no unit is not a failure" 0
prints "a driver of the default list that accepts no unit is shown" "^zbud .* refused: the driver accepted no unit"
run store -t libc:limit=64K --json "$work/in/deep/random" "$work/in/text"
holds "a limit in the spec makes the pool refuse units" "$(value drivers 0 refused no_memory)" -gt 0
is "units within the limit are read back intact" identical "$(value drivers 0 result)"

# A pool that writes to a file is opened only once, for the trial: a second pool would find the file or truncate it.
use_drivers zbud libc copying sieve trace guard
for spec in "trace:file=$work/once.trace+zbud" "guard+trace:file=$work/once.trace+zbud:limit=16M" \
    "trace:file=$work/once.trace,overwrite=yes+copying"; do
    rm -f "$work/once.trace"
    run store -t "$spec" "$work/in/text"
    exits "$spec is tried" 0
    run replay --json -t zbud "$work/once.trace"
    exits "the trace is complete" 0
    holds "the trace has the calls of the trial" "$(value recorded calls)" -gt 3
    run replay -t "trace:file=$work/twice.trace+zbud" "$work/once.trace"
    exits "a replay can write to a file, too" 0
    rm "$work/twice.trace"
done
run store -t "trace:file=$work/once.trace+zbud" "$work/in/text"
exits "a trace that exists already is a failure" 1
warns "the message has the reason" "once.trace .*already"

TMPDIR=$work/nowhere run store -t libc "$work/in"
exits "a missing TMPDIR is a failure" 1
warns "a missing TMPDIR is reported" "cannot create a temporary file in $work/nowhere.*TMPDIR"
finish
