#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The filter trace records the calls of a program, and zpoolctl replay repeats them.
#
# ZPOOL_TEST_TRACE_CALLS is the number of calls in the long trace (default: 60000).

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

recorder=$builddir/tests/tools/recorder
calls=${ZPOOL_TEST_TRACE_CALLS:-60000}
seed=${ZPOOL_TEST_SEED:-$(date +%s)}
trace=$work/run.trace
echo "ZPOOL_TEST_SEED=$seed"

use_drivers trace fault guard zsmalloc zbud z3fold zblock libc copying crash
if is_linked_in trace; then
    echo "the recorder has no drivers linked in"
    exit 77
fi

# record SPEC CALLS [THREADS]: records a trace; the output of the program is in $work/did
record()
{
    rm -f "$trace"
    "$recorder" "$1" "$2" "$seed" ${3:+"$3"} >"$work/did" 2>"$work/err" || {
        : >"$work/out"
        report no "recording $1" "the program failed"
    }
}
did()
{
    sed -n "s/^$1 //p" "$work/did"
}

# same_as_recorded DRIVER: checks everything that must be the same in a replay on the recorded driver
same_as_recorded()
{
    for key in objects objects_live objects_peak bytes bytes_live bytes_peak pool_bytes_peak pool_bytes; do
        is "$1: $key" "$(value recorded "$key")" "$(value drivers 0 "$key")"
    done
    for reason in invalid no_memory too_large again busy unsupported other; do
        is "$1: failed, $reason" "$(value recorded failed "$reason")" "$(value drivers 0 failed "$reason")"
    done
    is "$1: identical" identical "$(value drivers 0 result)"
    is "$1: no call was skipped" "0 0" "$(value drivers 0 skipped) $(value drivers 0 surplus)"
}

# --- The recording matches the program, and the replay matches the recording
# -----------------------------------------------

for spec in zsmalloc zsmalloc:limit=2M zbud z3fold:limit=2M zblock:limit=1M; do
    record "trace:file=$trace+$spec" "$calls"
    run replay --json "$trace"
    exits "$spec: replay succeeds" 0
    is "$spec: is the recorded spec" "$spec" "$(value recorded spec)"
    for key in objects bytes objects_live bytes_live pool_bytes; do
        is "$spec: recorded $key" "$(did "$key")" "$(value recorded "$key")"
    done
    for reason in no_memory again too_large busy invalid; do
        is "$spec: recorded failures, $reason" "$(did "$reason")" "$(value recorded failed "$reason")"
    done
    same_as_recorded "$spec"
    size=$(wc -c <"$trace")
    holds "$spec: $size bytes are under 16 a call" "$size" -lt $((16 * calls))
done
# The size of a libc pool comes from malloc and is never exactly the same twice.
record "trace:file=$trace+libc" "$calls"
run replay --json "$trace"
for key in objects objects_live objects_peak bytes bytes_live bytes_peak; do
    is "libc: $key" "$(value recorded "$key")" "$(value drivers 0 "$key")"
done
record "trace:file=$trace+zblock:limit=1M" "$calls"
is "a limit makes the driver refuse mallocs" yes "$([ "$(did no_memory)" -gt 100 ] && echo yes)"

record "trace:file=$trace,limit=2M+zbud" "$calls"
run replay --json "$trace"
exits "replay with the filter's limit succeeds" 0
is "the filter's limit applies to the driver" "zbud:limit=2097152" "$(value drivers 0 spec)"
same_as_recorded "limit of the filter"
holds "objects were evicted" "$(value drivers 0 evicted)" -gt 0

# --- Injected failures are repeated, because replay makes no calls of its own -----------------------------------------

for filter in fault:malloc_share=50,map_share=20,evict_share=300 guard+fault:map_share=50,evict_nth=3 \
    fault:malloc_nth=77,map_nth=500+guard; do
    for driver in zsmalloc zbud z3fold zblock; do
        record "trace:file=$trace+$filter+$driver:limit=2M" $((calls / 4))
        run replay --json "$trace"
        exits "$filter+$driver: replay succeeds" 0
        same_as_recorded "$filter+$driver"
    done
    run replay --json --type zsmalloc "$trace"
    exits "$filter: replay without the filter succeeds" 0
    # Objects whose map failed in the recording would otherwise stay mapped and could not be freed.
    holds "$filter: no object stays mapped whose map failed in the recording" "$(value drivers 0 failed busy)" -le "$(value recorded failed busy)"
done

# --- Other drivers ---------------------------------------------------------------------------------------------------

run replay "$trace" --type zsmalloc --type z3fold --type zblock --type libc --type copying
exits "the trace can be replayed on other drivers" 0
is "each driver has a line" 5 "$(grep -cE '^(zsmalloc|z3fold|zblock|libc|copying) .* identical(: [0-9]+ of [0-9]+ compared)?$' "$work/out")"
prints "the recorded driver has a line" '^\(recorded\) '
run replay "$trace" --type zsmalloc:limit=256K --json
exits "a smaller limit is not a failure" 0
holds "a smaller limit refuses more mallocs" "$(value drivers 0 failed no_memory)" -gt "$(value recorded failed no_memory)"
holds "calls on refused objects are skipped" "$(value drivers 0 skipped)" -gt 0
run replay "$trace" --stats --type zbud
prints "counters are printed" '^STATISTICS +zbud'
run replay "$trace" --type crash
exits "a driver that crashes fails" 1
warns "the reason is reported" 'crash: killed by SIG'
run replay "$trace" --type no_such_driver
exits "a missing driver fails" 1
run replay "$trace" --type trace
exits "a filter alone fails" 1
run replay "$trace" --type "trace:file=$work/again.trace,overwrite=yes+zbud:limit=2M" --json
exits "a replay can be recorded" 0

# --- Threads ---------------------------------------------------------------------------------------------------------

record "trace:file=$trace+zsmalloc" "$calls" 4
run replay --json "$trace"
exits "the calls of several threads are replayed" 0
is "the trace has several threads" 4 "$(value recorded threads)"
for key in objects bytes objects_live bytes_live objects_peak bytes_peak; do
    is "threads: $key" "$(value recorded "$key")" "$(value drivers 0 "$key")"
done
is "threads: number of objects" "$(did objects)" "$(value recorded objects)"

# --- Files -----------------------------------------------------------------------------------------------------------

cp "$trace" "$work/before"
"$recorder" "trace:file=$trace+zsmalloc" 100 1 >"$work/out" 2>"$work/err"
status=$?
exits "a file that exists is not overwritten" 1
warns "the message says how to overwrite it" "already exists.*overwrite=yes"
is "the file has not changed" same "$(cmp -s "$trace" "$work/before" && echo same)"
"$recorder" "trace:file=$work/a%2bb%2cc%3ad%25.trace+zsmalloc" 100 1 >"$work/out" 2>"$work/err"
is "the path is unescaped" 1 "$(find "$work" -name 'a+b,c:d%.trace' | wc -l)"
"$recorder" "trace+zsmalloc" 100 1 >"$work/out" 2>"$work/err"
warns "a trace without a file is refused" "needs the name of a file"
"$recorder" "trace:file=$work/none/x+zsmalloc" 100 1 >"$work/out" 2>"$work/err"
warns "a file that cannot be created is reported" "none/x cannot be written: No such file"
if [ -w /dev/full ]; then
    ZPOOL_DEBUG=error "$recorder" "trace:file=/dev/full,overwrite=yes,buffer=4K+zsmalloc" 20000 "$seed" \
        >"$work/out" 2>"$work/err"
    status=$?
    # The header is written first.
    exits "a full disk is a failure at the beginning" 1
    warns "the reason is reported" "/dev/full cannot be written: No space"
fi
(
    # shellcheck disable=SC3045
    ulimit -f 8 2>/dev/null || exit 9
    ZPOOL_DEBUG=error "$recorder" "trace:file=$work/short.trace,buffer=4K+zsmalloc" 20000 "$seed" 2>&1 >"$work/out"
    echo "status $?"
) | cat >"$work/err"
status=$(sed -n 's/^status //p' "$work/err")
status=${status:-9}
if [ "$status" -ne 9 ]; then
    exits "calls do not fail if the disk fills up later" 0
    warns "the end of the trace is logged" "trace ends here because .*short.trace cannot be written: File too large"
    warns "the number of missing calls is logged" "[0-9]+ calls? (is|are) missing from the trace"
    run replay "$work/short.trace"
    exits "the written part is replayed" 0
    warns "the cut is reported" "short.trace: the file is cut off after [0-9]+ bytes"
    prints "thousands of calls were written" "short.trace: [0-9]{4} calls on .*cut off there"
fi

# --- Invalid traces ------------------------------------------------------------------------------------------------

bytes=$(wc -c <"$trace")
head -c $((bytes - 1)) "$trace" >"$work/bad"
run replay "$work/bad"
exits "a trace without its end is replayed" 0
warns "the cut is reported" "bad: the file is cut off after $((bytes - 1)) bytes"
head -c 20 "$trace" >"$work/bad"
run replay "$work/bad"
warns "an incomplete header is reported" "cut off inside its header"
{
    head -c 5000 "$trace"
    printf '\377\376'
    tail -c +5003 "$trace"
} >"$work/bad"
run replay "$work/bad"
exits "a modified trace fails" 1
warns "the reason is reported" "damaged: the checksum of the block at byte [0-9]+ does not match"
{
    cat "$trace"
    echo more
} >"$work/bad"
run replay "$work/bad"
warns "data after the end is reported" "damaged: at byte $bytes, there is data after its end"
{
    head -c 8 "$trace"
    printf '\002'
    tail -c +10 "$trace"
} >"$work/bad"
run replay "$work/bad"
exits "a newer version fails" 1
warns "the reason is reported" "version 2 of the format, but this program only knows versions up to 1"
run replay "$zpoolctl"
exits "another file fails" 1
warns "the reason is reported" "not a trace file"
: >"$work/bad"
run replay "$work/bad"
warns "an empty file is reported" "not a trace file"
run replay "$work"
warns "a directory is reported" "Is a directory"
run replay "$work/none"
warns "a missing file is reported" "No such file"
run replay
exits "no argument" 2
run replay "$trace" "$trace"
exits "two arguments" 2
run replay "$trace" --timeout 0
exits "no time" 2
finish
