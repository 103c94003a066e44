#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl replay compares contents and reports how much it compared; traces that are cut off, damaged, or not traces at
# all.

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

forge=$builddir/tests/tools/forge
trace=$work/made.trace
seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "ZPOOL_TEST_SEED=$seed"
use_drivers trace fault guard zsmalloc zbud z3fold zblock libc copying forgets refuses
: >"$work/out"
: >"$work/err"

# made LINE...: makes a trace of these calls on zsmalloc
made()
{
    { [ $# -eq 0 ] || printf '%s\n' "$@"; } | "$forge" zsmalloc >"$trace" || report no "forge" "the program failed"
}
# counts NAME RESULT COMPARED UNREAD UNWRITTEN: checks the result of the first driver
counts()
{
    is "$1" "$2 $3 $4 $5" "$(value drivers 0 result) $(value drivers 0 objects_compared) \
$(value drivers 0 objects_unread) $(value drivers 0 objects_unwritten)"
}

# --- Objects that are written in pieces ------------------------------------------------------------------------------

for driver in zsmalloc zbud libc copying; do
    made 'malloc 100 0' 'write 1 50 0' 'write 1 50 50' 'free 1'
    run replay --json --type $driver "$trace"
    counts "$driver: an object in two pieces is compared before it is freed" identical 1 0 0
    made 'malloc 100 0' 'write 1 50 0' 'write 1 50 50'
    run replay --json --type $driver "$trace"
    counts "$driver: an object that was not freed is compared at the end" identical 1 0 0
    made 'malloc 100 0' 'write 1 30 0' 'read 1 30 0' 'read 1 30 40' 'write 1 10 5' 'read 1 100 0' 'free 1'
    run replay --json --type $driver "$trace"
    counts "$driver: an object of which half was written is compared" identical 1 0 0
    holds "$driver: an object is compared at every read" "$(value drivers 0 compared)" -eq 2
    made 'malloc 100 2' 'write 1 10 5' 'read 1 90 10' 'free 1'
    run replay --json --type $driver "$trace"
    counts "$driver: a part of an object of zeros is compared" identical 1 0 0
    made 'malloc 100 0' 'map 1 2' 'map 1 1' 'unmap 1' 'unmap 1' 'write 1 7 90' 'map 1 0' 'unmap 1' 'free 1'
    run replay --json --type $driver "$trace"
    counts "$driver: an object that is mapped twice" identical 1 0 0
done

# Pieces that overlap at random, in both directions.
awk -v seed="$seed" 'BEGIN {
    srand(seed)
    for (object = 0; object < 20; object++) print "malloc", 200 + 8 * object, 2 * int(2 * rand())
    for (i = 0; i < 3000; i++) {
        back = 1 + int(20 * rand()); size = 200 + 8 * (20 - back)
        from = int(size * rand()); length_ = 1 + int((size - from) * rand())
        r = rand()
        if (r < 0.05) print "write", back, size, 0
        else if (r < 0.6) print "write", back, length_, from
        else print "read", back, length_, from
    }
    for (object = 1; object < 20; object += 2) print "free", object
}' | "$forge" zsmalloc >"$trace"
for driver in zsmalloc copying; do
    run replay --json --type $driver "$trace"
    counts "$driver: pieces that overlap" identical 20 0 0
done
run replay --json --type forgets "$trace"
is "a lost write is detected" differs "$(value drivers 0 result)"
exits "a lost write is a failure" 1
made 'malloc 100 0' 'map 1 2' 'unmap 1' 'map 1 0' 'unmap 1'
run replay --type refuses:call=read "$trace"
exits "an object that cannot be read is a failure" 1
warns "the message has the call and the reason" "refuses:call=read: call 3: reading an object: .*zpool_obj_read\\(\\)"
made 'malloc 100 0' 'map 1 2' 'unmap 1' 'free 1'
run replay --type refuses:call=read "$trace"
exits "an object that cannot be read before it is freed is a failure" 1
warns "the message has the call and the reason" "refuses:call=read: call 3: reading an object: .*zpool_obj_read\\(\\)"
run replay --type refuses:call=malloc "$trace"
exits "a driver that returns the handle 0 fails" 1
warns "the message has the call and the reason" \
    "refuses:call=malloc: call 0: zpool_malloc: the driver returned the handle 0"
made 'malloc 100 0' 'times 3000 write 1 1 1' 'write 1 99 1' 'read 1 100 0'
run replay --json --type copying "$trace"
counts "a byte that is written repeatedly" identical 1 0 0
made 'malloc 100 0' 'write 1 100 0' 'map 1 0' 'failed 5 free 1' 'unmap 1' 'read 1 100 0' 'write 1 50 0' 'read 1 100 0'
for driver in zsmalloc copying; do
    run replay --json --type $driver "$trace"
    exits "$driver: a free of a mapped object" 0
    counts "$driver: an object whose free was refused stays" identical 1 0 0
    is "$driver: the object is compared before its free and after" 4 "$(value drivers 0 compared)"
done
seq 0 1999 | awk '{ print "write 1 1", 2 * $1 }' >"$work/writes"
{
    echo 'malloc 4000 0'
    cat "$work/writes"
    echo 'write 1 4000 0'
    echo 'read 1 4000 0'
} | "$forge" zsmalloc >"$trace"
run replay --json --type copying "$trace"
counts "more pieces than are tracked, and then a whole write" identical 1 0 0

# --- The number of comparisons
# -------------------------------------------------------------------------------------------

made 'malloc 10 0' 'free 1'
run replay "$trace"
exits "a trace without contents is not a failure" 0
prints "the table shows that there was nothing to compare" 'nothing to compare'
prints_not "the table does not say identical" 'identical'
prints "the reason is printed" '^zsmalloc: 0 of 1 object was compared; 1 was never written'
run replay --json "$trace"
counts "JSON has the same result" nothing_to_compare 0 0 1
made
run replay --json "$trace"
counts "a trace without calls" nothing_to_compare 0 0 0
made 'malloc 10 0' 'map 1 2' 'unmap 1' 'malloc 10 0' 'malloc 10 0'
run replay "$trace"
exits "objects that were not written are not a failure" 0
prints "the table has the number of compared objects" 'identical: 1 of 3'
run replay --json "$trace"
counts "JSON has the same result" identical 1 0 2
made 'malloc 10 0' 'map 1 2' 'unmap 1' 'free 1'
run replay --json --type fault+zsmalloc "$trace"
counts "no call is added if the filter fault counts calls" nothing_to_compare 0 1 0
run replay --type fault+zsmalloc "$trace"
prints "the reason is printed" '0 of 1 object was compared; 1 was not read before being freed$'
made 'malloc 20000 0' 'map 1 2' 'unmap 1' 'free 1'
run replay --type zbud "$trace"
exits "a driver that accepts no object fails" 1
prints "the table has the reason" 'refused: the driver accepted no object'
run replay --type zbud --type libc "$trace"
prints "another driver does not fail" '^libc .*identical'

# --- Traces that are cut off -----------------------------------------------------------------------------------------

made 'malloc 100 0' 'map 1 2' 'unmap 1' block 'malloc 50 0' 'map 1 2' 'unmap 1' 'map 1 0' 'unmap 1'
cp "$trace" "$work/whole"
size=$(wc -c <"$trace")
last=-1
for bytes in 44 45 50 59 60 65 68 71 72 80 90 95 $((size - 50)) $((size - 49)) $((size - 48)) $((size - 20)) \
    $((size - 1)); do
    head -c "$bytes" "$work/whole" >"$trace"
    run replay --json "$trace"
    exits "cut off after $bytes bytes: it is replayed" 0
    warns "a message reports the cut" 'cut off after [0-9]+ bytes'
    is "JSON reports the cut" "true null null" "$(value recorded cut_off) $(value recorded pool_bytes) \
$(value recorded missing_calls)"
    calls=$(value recorded calls)
    holds "a longer file has at least as many calls" "$calls" -ge "$last"
    is "all complete calls are replayed" "$calls" "$(value drivers 0 calls)"
    last=$calls
done
is "a file without its end has all calls" 8 "$last"
run replay "$trace"
prints "the report mentions the cut" 'made.trace: 8 calls on zsmalloc .*cut off there'
run replay "$work/whole"
prints_not "the report of a complete file mentions no cut" 'cut off'
made 'malloc 100 0' 'map 1 2' no-end
run replay --json "$trace"
exits "an object that is mapped where the trace ends is not a failure" 0
head -c 20 "$work/whole" >"$trace"
run replay "$trace"
exits "a trace that ends in its header cannot be replayed" 1
warns "the message has the position" 'cut off inside its header, after 20 bytes'

# --- Calls that are missing from a trace --------------------------------------------------------------------------

for lost in '1 call is' '12 calls are'; do
    made 'malloc 100 0' "lost ${lost%% *}"
    run replay "$trace"
    exits "a trace with missing calls is replayed" 0
    prints "the report says that $lost missing" "made.trace: 1 call on zsmalloc .*; $lost missing\$"
    run replay --json "$trace"
    is "JSON has the number" "${lost%% *}" "$(value recorded missing_calls)"
done

# --- Invalid traces ------------------------------------------------------------------------------------------------

# refused NAME PATTERN: the trace must be refused, and the message must have the position and the reason
refused()
{
    run replay "$trace"
    exits "$1 is refused" 1
    warns "the message has the position and the reason" "made.trace: damaged: $2"
}
made 'malloc 0 0'
refused "an object of 0 bytes" 'at byte 60, call 0 allocates an object of an impossible size'
made 'malloc 1073741825 0'
refused "an object that is too large" 'at byte 60, call 0 allocates an object of an impossible size'
made 'malloc 10 0' 'free 1' 'free 1'
refused "an object that is freed twice" 'at byte 67, call 2 frees an object that is already free'
made 'malloc 10 0' 'free 2'
refused "an object that was never allocated" 'at byte 64, call 1 names an object that was never allocated'
made 'bytes 0f 01'
refused "an unknown call" 'at byte 60, call 0 is of an unknown kind'
made 'bytes 81 01'
refused "an unknown flag" 'at byte 60, call 0 has unknown flags'
made 'malloc 10 0' 'bytes 02 01 81'
refused "half a call" 'at byte 64, call 1 names an object that was never allocated'
made 'bytes 01 01 0a 00 01 01 0a 00'
refused "a block with one call too many" 'at byte 64, a block has data after its last call'
made 'malloc 10 0' 'end' 'no-end'
refused "an end with a call" 'at byte 44, its end record is not valid'
made 'end' 'no-end'
refused "an end without numbers" 'at byte 44, its end record is not valid'
"$forge" zs~malloc >"$trace" </dev/null
refused "a NUL in the spec" 'at byte 36, its spec contains a NUL'
made 'malloc 10 0' 'extra 1'
refused "an end with another number of calls" 'at byte 64, its end says 2 calls, and it has 1'
made 'malloc 10 0' 'map 1 3'
refused "an unknown mode" 'at byte 64, call 1 maps in an unknown mode'
{
    head -c 70 "$work/whole"
    printf '\377'
    tail -c +72 "$work/whole"
} >"$trace"
refused "a byte that changed" 'the checksum of the block at byte 44 does not match'
{
    head -c 44 "$work/whole"
    printf 'junkjunkjunkjunk'
} >"$trace"
refused "junk after the header" 'at byte 44, there is no valid block'
{
    head -c 48 "$work/whole"
    printf '\377\377\377\377'
    tail -c +53 "$work/whole"
} >"$trace"
refused "an endless block" 'at byte 44, a block of 4294967295 bytes begins, more than [0-9]+'
{
    cat "$work/whole"
    echo more
} >"$trace"
refused "data after the end" "at byte $size, there is data after its end"

# --- Traces that need too much memory
# ------------------------------------------------------------------------------------------

made 'times 1000000 malloc 16777216 0'
run replay "$trace" --type libc
exits "a trace with 16 TiB of objects is refused" 1
warns "the message says what to do" 'libc: the replay needs up to 15.3T of memory.*limit'
run replay "$trace" --type libc:limit=64M
warns_not "with a limit, the trace needs less memory" 'of memory at once'
made 'times 20000 shrink 1'
run replay "$trace" --timeout 10
exits "very many calls of shrink are replayed in time" 0
head -c 44 "$work/whole" >"$trace"
if dd if=/dev/null of="$trace" bs=1 seek=1099511627776 2>/dev/null; then
    run replay "$trace" --timeout 10
    exits "a sparse file is not read to its end" 1
    warns "reading stops at the first wrong byte" 'at byte 44, there is no valid block'
    rm "$trace"
fi
run replay /dev/zero
exits "an endless device is not read without end" 1
warns "the message says that it is not a trace" '/dev/zero: not a trace file'
finish
