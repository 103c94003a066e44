#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl bench: measurements with few objects, sources of sizes, and messages about bad input. The test does not check
# times, and of memory only what is true on every machine.

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zsmalloc zbud libc fault
: >"$work/out"
: >"$work/err"

# job_of PID: prints the process that measures for a running zpoolctl bench; fails if there is none
job_of()
{
    for status in /proc/[0-9]*/status; do
        if grep -qs "^PPid:[[:space:]]*$1\$" "$status" && grep -qs run-job "${status%/status}/cmdline"; then
            status=${status%/status}
            echo "${status#/proc/}"
            return 0
        fi
    done
    return 1
}

# quick ARGUMENT...: runs one round with the fewest objects
quick()
{
    run bench --objects 1000 --rounds 1 "$@"
}

# usage NAME PATTERN ARGUMENT...: the exit status must be 2, a message must match, and standard output must be empty.
# fails NAME PATTERN ARGUMENT...: the same with exit status 1.
refused()
{
    expected=$1
    name=$2
    pattern=$3
    shift 3
    run bench "$@"
    exits "$name is refused" "$expected"
    warns "the message for $name" "$pattern"
    is "$name: nothing is on standard output" "" "$(cat "$work/out")"
}
usage()
{
    refused 2 "$@"
}
fails()
{
    refused 1 "$@"
}

# figure ALLOCATOR MEASURE KEY...: prints a value of the JSON that was printed
figure()
{
    allocator=$1
    measure=$2
    shift 2
    value allocators "allocator=$allocator" figures "measure=$measure" "$@"
}

# field ALLOCATOR MEASURE COLUMN: prints a field of the CSV that was printed
field()
{
    awk -F, -v allocator="$1" -v measure="$2" -v column="$3" 'NR == 1 { for (i = 1; i <= NF; i++) number[$i] = i }
        $1 == allocator && $4 == measure { print $number[column] }' "$work/out"
}

# at_most NAME A B: checks that the number A is at most B
at_most()
{
    if awk -v a="$2" -v b="$3" 'BEGIN { exit !(a ~ /^[0-9]/ && b ~ /^[0-9]/ && a + 0 <= b + 0) }'; then
        report ok "$1"
    else
        report no "$1" "$2 is more than $3"
    fi
}

# --- Measurements ------------------------------------------------------------------------------------------------

quick --type zsmalloc:compact=no --type libc --peer glibc --threads 1,2 --json
exits "every workload is measured" 0
silent "there is no message"
is "objects" 1000 "$(value sizes objects)"
for measure in fill:1000 churn:4000 long-churn:36000 read:4000 pair-empty:10000 pair-full:10000 pair-holes:10000 \
    pair-compacted:10000 pair-trimmed:10000 pair-worn:10000 transfer:2000 evict:4000; do
    for allocator in zsmalloc:compact=no glibc; do
        is "$allocator makes ${measure#*:} operations of ${measure%:*}" "${measure#*:}" \
            "$(figure $allocator "${measure%:*}" rounds 0 operations)"
    done
done
is "a driver that cannot evict is skipped with the reason" "it cannot evict" \
    "$(value allocators allocator=libc skipped evict)"
is "the only malloc is the fastest one" 1.0 "$(figure glibc churn ratio)"
is "glibc's calls of madvise are unknown" null "$(figure glibc churn rounds 0 madvise_calls)"
is "a malloc has no pool" null "$(figure glibc churn rounds 0 pool_bytes)"
is "each store is timed once" 4000 "$(figure glibc churn latency store calls)"
is "each drop is timed once" 4000 "$(figure glibc churn latency drop calls)"
is "each read is timed once" 4000 "$(figure glibc read latency read calls)"
for share in p50:p90 p90:p99 p99:p99_9 p99_9:p99_99; do
    at_most "${share%:*} is at most ${share#*:}" "$(figure zsmalloc:compact=no read latency read "${share%:*}_ns")" \
        "$(figure zsmalloc:compact=no read latency read "${share#*:}_ns")"
done
at_most "p99.99 is at most the longest" "$(figure libc churn latency store p99_99_ns)" \
    "$(figure libc churn latency store longest_ns)"
holds "a call during compaction is timed" "$(figure glibc stall latency store calls)" -gt 0
holds "memory over time has samples" "$(value allocators 0 timeline length)" -gt 50
live=$(figure glibc fill rounds 0 live_bytes)
is "all allocators store the same sizes" "$live" "$(figure zsmalloc:compact=no fill rounds 0 live_bytes)"
if [ -z "${SANITIZER_CFLAGS:-}" ]; then
    at_most "the memory exceeds the live bytes" 1 "$(figure glibc fill footprint)"
fi
dropped=$(figure zsmalloc:compact=no drop rounds 0 pool_bytes)
compacted=$(figure zsmalloc:compact=no compact rounds 0 pool_bytes)
at_most "compaction makes the pool smaller" $((compacted + 4096)) "$dropped"
holds "compaction moves objects" "$(figure zsmalloc:compact=no compact rounds 0 moved_bytes)" -gt 0
is "libc moves no objects" null "$(figure libc compact rounds 0 moved_bytes)"
holds "madvise is counted" "$(figure zsmalloc:compact=no compact rounds 0 madvise_calls)" -gt 0
is "two threads share the work" 4000 "$(value allocators 0 figures 16 rounds 0 operations)"
is "the figure has the number of threads" 2 "$(value allocators 0 figures 16 threads)"

# What a driver cannot do is skipped, and its other measures have figures.
quick --type zsmalloc:max=512 --peer none --sizes fixed:1 --json
exits "a driver of small objects is measured" 0
is "its other measures have figures" 4000 "$(figure zsmalloc:max=512 churn rounds 0 operations)"
for measure in pair-empty pair-full pair-worn; do
    is "$measure is skipped with the reason" "it accepts objects of up to 512 bytes, and a pair has one of 1000" \
        "$(value allocators 0 skipped $measure)"
done
is "evict is skipped if the limit is below an empty pool" "half of the objects' bytes, 4500, are too small a limit for it" \
    "$(value allocators 0 skipped evict)"

# Here the limit is just above the size of an empty pool, which leaves no room for the page of an object.
quick --type zbud --peer none -w fill --json
size=$(($(value allocators 0 timeline 0 pool_bytes) / 500 + 1))
quick --type zbud --peer none -w evict --sizes fixed:$size --json
is "evict is skipped if no object has room" \
    "half of the objects' bytes, $((500 * size)), are too small a limit for it" "$(value allocators 0 skipped evict)"

# A malloc that filter fault makes fail does not mean that there is no room.
quick --type fault:malloc_nth=1+zbud --peer none -w evict --json
exits "evict is measured behind filter fault" 0
is "the measure is not skipped" 4000 "$(figure fault:malloc_nth=1+zbud evict rounds 0 operations)"

# fails_with REASON SPEC WORKLOAD: a failure of a call ends the measurement of the driver
fails_with()
{
    quick --type "$2" --peer none -w "$3"
    exits "$2: a failure during $3 is a failure" 1
    warns "$2: the message has the reason" "^zpoolctl: .*: $1"
    prints "$2: the report has the reason" ": failed: $1"
}
fails_with "writing failed for an object of [0-9]+ bytes: Filter \"fault\" made map number 1 fail" \
    fault:map_nth=1+zbud fill
fails_with "reading failed for an object of [0-9]+ bytes: Filter \"fault\" made map number 1001 fail" \
    fault:map_nth=1001+zbud read
# Nothing can be evicted, so the pool stays full.
fails_with "malloc failed for an object of [0-9]+ bytes: .*its limit is reached" fault:evict_share=1000+zbud evict

# A system that refuses memory or a thread is a failure, too. A sanitizer needs more address space than this.
short_of_room()
{
    status=0
    (
        # shellcheck disable=SC3045 # dash and bash have -v
        ulimit -v 80000 && exec "$zpoolctl" bench --objects 1000 --rounds 1 "$@"
    ) >"$work/out" 2>"$work/err" || status=$?
}
if [ -z "${SANITIZER_CFLAGS:-}" ]; then
    short_of_room --type libc --peer glibc -w fill --sizes fixed:100K
    exits "a malloc that has no memory is a failure" 1
    warns "the message has the size" "^zpoolctl: glibc: malloc failed for an object of 102400 bytes$"
    short_of_room --type zbud --peer none -w fill --threads 64
    exits "a thread that cannot be started is a failure" 1
    warns "the message names the thread" "^zpoolctl: zbud: a thread could not be started$"
fi

# The same seed stores the same objects, and another seed stores others.
quick --type zbud --peer none -w fill -w churn --seed 7 --json
first=$(figure zbud churn rounds 0 live_bytes)
quick --type zbud --peer none -w fill -w churn --seed 7 --json
is "a seed repeats a run" "$first" "$(figure zbud churn rounds 0 live_bytes)"
quick --type zbud --peer none -w fill -w churn --seed 8 --json
holds "another seed is another run" "$first" != "$(figure zbud churn rounds 0 live_bytes)"
is "only the requested workload is measured" 2 "$(value allocators 0 figures length)"

# With an even number of rounds, the median is the mean of the two in the middle.
for rounds in 3 4; do
    run bench --objects 1000 --rounds $rounds --type libc --peer none -w fill --json
    median=$(for round in $(seq 0 $((rounds - 1))); do figure libc fill rounds "$round" wall_ns; done | sort -n |
        awk '{ ns[NR] = $1 / 1000 } END { printf "%.6g", (ns[int((NR + 1) / 2)] + ns[int(NR / 2) + 1]) / 2 }')
    is "the time is the median of $rounds rounds" "$median" "$(figure libc fill ns | awk '{ printf "%.6g", $1 }')"
done

quick -w pair --type libc --peer none --json
is "the pair alone is measured in all its states" 6 "$(value allocators 0 figures length)"
quick -w pair --type libc --peer none --threads 2 --json
ns=$(figure libc pair-full rounds 0 wall_ns)
is "the time of a pair is that of one thread" "$(awk -v ns="$ns" 'BEGIN { printf "%.6g", ns / 10000 }')" \
    "$(figure libc pair-full ns | awk '{ printf "%.6g", $1 }')"
quick -w evict --type zbud --peer none --json
live=$(figure zbud evict rounds 0 live_bytes)
holds "objects that were not evicted are alive" "$live" -gt 0
at_most "the pool has what is alive" "$live" "$(figure zbud evict rounds 0 pool_bytes)"
quick -w stall --type libc --peer none --json
exits "stalls alone are measured" 0
is "stalls are not measured in rounds" 1 "$(value allocators 0 figures length)"

# --- Tables and other formats
# ------------------------------------------------------------------------------------------

COLUMNS=80 "$zpoolctl" bench --objects 1000 --rounds 1 >"$work/out" 2>"$work/err" || report no "all that is there" "failed"
is "lines fit 80 columns" "" "$(awk 'length > 80' "$work/out")"
for allocator in libc zbud zsmalloc; do
    prints "$allocator has times" "^$allocator +[0-9.]+ +[0-9.]+ +[0-9.]+"
done
for peer in glibc jemalloc mimalloc tcmalloc; do
    prints "$peer is measured, or the reason is printed" "^$peer(  *[0-9.]+|: not measured: )"
done
prints "the kernel's zsmalloc is measured, or the reason is printed" "^zram( +[0-9.]+|: not measured: )"
prints "versions are printed" "^libzpool $PACKAGE_VERSION"
holds "the host name is not printed" "$(grep -cFw -- "$(uname -n)" "$work/out")" -eq 0

# A peer that the user named must be there. An empty file hides the library of the system.
quick --type libc --peer zram -w fill --sizes fixed:4097
exits "zram without a suitable device or objects is a failure" 1
warns "the reason is printed" "^zpoolctl: zram: (only root may use |there is no |it stores pages|.* is in use|.* lz4)"
mkdir "$work/libraries"
: >"$work/libraries/libjemalloc.so.2"
status=0
LD_LIBRARY_PATH=$work/libraries${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$zpoolctl" bench --type libc --peer jemalloc \
    >"$work/out" 2>"$work/err" || status=$?
exits "a malloc without its library is a failure" 1
warns "the message names the package of the malloc" \
    "^zpoolctl: jemalloc: libjemalloc.so.2 cannot be preloaded \(Debian: libjemalloc2\)"
is "nothing is measured without it" "" "$(cat "$work/out")"

quick --type zsmalloc --peer none -w long-churn
prints "calls of madvise during long churn alone are printed" "^zsmalloc +[0-9.]+ +[0-9.]+$"

quick --type zsmalloc:compact=no,chain=4 --peer none -w fill --csv
exits "CSV succeeds" 0
is "the CSV has a header and one line" 2 "$(wc -l <"$work/out")"
prints "text with commas is quoted" '^"zsmalloc:compact=no,chain=4",driver,1,fill,[0-9]'
is "each line has as many fields as the header" 1 "$(sed 's/^"[^"]*"/x/' "$work/out" | awk -F, '{ print NF }' | sort -u | wc -l)"
quick --type zsmalloc:compact=no --peer glibc -w drop -w stall --csv
is "a measure without a time has as many fields" 1 "$(awk -F, '{ print NF }' "$work/out" | sort -u | wc -l)"
is "the fastest malloc has the ratio 1" 1.0000 "$(field glibc drop ratio)"
holds "compaction moves bytes" "$(field zsmalloc:compact=no compact moved_bytes)" -gt 0
is "a malloc moves no bytes" "" "$(field glibc compact moved_bytes)"
is "a stall is not measured in rounds" "" "$(field glibc stall ns)$(field glibc stall operations)"
holds "the longest stall is a field" "$(field glibc stall store_longest_ns)" -gt 0

# --- Sources of sizes -------------------------------------------------------------------------------------------

seq 100 4000 >"$work/sizes"
run bench --rounds 1 --type libc --peer none -w fill --json --sizes "$work/sizes"
exits "sizes come from a file" 0
is "a short list of sizes is repeated" 10000 "$(value sizes objects)"
is "the largest size is used" 4000 "$(value sizes largest)"
awk 'BEGIN { for (i = 0; i < 12000; i++) print 64 + i % 100 }' >"$work/many"
run bench --rounds 1 --type libc --peer none -w fill --json --sizes "$work/many"
is "a long list of sizes is used completely" "12000 1362000" "$(value sizes objects) $(value sizes bytes)"
run bench --objects 2000 --rounds 1 --type libc --peer none -w fill --json --sizes - <"$work/many"
printf '\r\n 5\t\r\n\n6' >"$work/blank"
quick --type libc --peer none -w fill --json --sizes "$work/blank"
is "blanks, empty lines and a missing newline are accepted" 5500 "$(value sizes bytes)"
printf '100\n70000\n' >"$work/mixed"
quick --type libc --peer none -w read --json --sizes "$work/mixed"
is "objects of more than 64 KiB are read" 4000 "$(figure libc read rounds 0 operations)"
status=0
"$zpoolctl" bench --rounds 1 --type libc --peer none -w fill --json --sizes - <"$work/many" >"$work/out" 2>"$work/err" || status=$?
exits "sizes come from standard input" 0
is "all sizes of standard input are used" 1362000 "$(value sizes bytes)"
for source in lz4 zstd fixed:100 uniform:1-64K exponential:300; do
    quick --type libc --peer none -w fill --json --sizes $source
    exits "sizes come from $source" 0
done
quick --type libc --peer none -w fill --json --sizes fixed:100
is "a fixed size is used for all objects" 100000 "$(value sizes bytes)"
quick --type libc --peer none -w fill --json --sizes uniform:1-1000
at_most "the mean of uniform sizes is not too small" 499000 "$(value sizes bytes)"
at_most "the mean of uniform sizes is not too large" "$(value sizes bytes)" 502000
recorder=$builddir/tests/tools/recorder
if ! is_linked_in zbud && [ -e "$builddir/plugins/.libs/trace.so" ]; then
    cp "$builddir/plugins/.libs/trace.so" "$work/plugins/"
    "$recorder" "trace:file=$work/run.trace+zbud" 5000 3 >"$work/did"
    # The pool with which the driver is tried first makes the file.
    fails_with "The trace file .* already exists" "trace:file=$work/once.trace+zbud" evict
    rm "$work/plugins/trace.so"
    run bench --rounds 1 --type libc --peer none -w fill --json --sizes "$work/run.trace"
    exits "sizes come from a recorded trace" 0
    holds "the trace has sizes" "$(value sizes bytes)" -gt 1000000
    bytes=$(value sizes bytes)
    "$zpoolctl" bench --rounds 1 --type libc --peer none -w fill --json --sizes - \
        <"$work/run.trace" >"$work/out" 2>"$work/err"
    is "a trace on standard input gives the same sizes" "$bytes" "$(value sizes bytes)"
    head -c 40 "$work/run.trace" >"$work/cut.trace"
    fails "a trace without objects" "cut.trace" --sizes "$work/cut.trace"
fi

# A driver for which objects are too large is left out with a message.
quick --type zbud --peer none -w fill --sizes fixed:4000
exits "objects that are too large are a failure of a named driver" 1
prints "the reason is printed" "^zbud: fill: it accepts objects of up to 3968 bytes, and 1000 of the 1000 are larger"

# --- Bad input -------------------------------------------------------------------------------------------------------

: >"$work/empty"
printf '100\n200 300\n' >"$work/two"
printf '100\nabc\n' >"$work/letters"
printf '100\n-5\n' >"$work/negative"
printf '100\n0\n' >"$work/zero"
printf '100\n99999999999999999999999\n' >"$work/huge"
printf '100\n2000000\n' >"$work/large"
fails "an empty file" "empty: is empty" --sizes "$work/empty"
fails "two sizes in a line" "two: line 2 is not a size" --sizes "$work/two"
fails "a word" "letters: line 2 is not a size" --sizes "$work/letters"
fails "a negative number" "negative: line 2 is not a size" --sizes "$work/negative"
fails "a size of 0" "zero: line 2 is 0: the size of an object must be from 1 to 1048576 bytes" --sizes "$work/zero"
fails "a very long number" "huge: line 2 is not a size" --sizes "$work/huge"
fails "a size that is too large" "large: line 2 is 2000000: the size of an object must be from 1" --sizes "$work/large"
forge=$builddir/tests/tools/forge
echo "malloc 2000000 1" | "$forge" zbud >"$work/forged"
fails "a trace of an object that is too large" \
    "forged: has an object of 2000000: the size of an object must be from 1 to" --sizes "$work/forged"
fails "a program" "line 1 is not a size" --sizes /bin/sh
fails "an endless file of zeros" "/dev/zero: line 1 is not a size" --sizes /dev/zero
fails "a directory" "Is a directory" --sizes "$work"
fails "a missing file" "/nosuch: No such file" --sizes "$work/nosuch"
fails "an unknown name" "nosuch: there is neither a file nor a distribution of this name: the distributions are lz4" --sizes nosuch
for name in fixed: fixed:0 fixed:2M uniform:5 uniform:9-5 uniform:0-5 exponential: exponential:x; do
    fails "the distribution $name" "is not a distribution of sizes" --sizes $name
done
yes 8 2>"$work/yes" | head -n 17000000 >"$work/lines"
fails "a file with too many sizes" "has more than 16777216 sizes" --sizes "$work/lines"
rm "$work/lines"
echo "times 16777217 malloc 1 1" | "$forge" zbud >"$work/forged"
fails "a trace of too many objects" "has more than 16777216 sizes" --sizes "$work/forged"
rm "$work/forged"
mkfifo "$work/endless"
yes '' >"$work/endless" 2>"$work/yes" &
fails "endless blank lines" "has more than 128 MiB" --sizes "$work/endless"
wait
usage "an unknown workload" 'no workload "fil": choose from fill, churn, long-churn' -w fil
usage "an unknown peer" '--peer must be glibc.* not "gcc"' --peer gcc
for threads in 0 65 -1 1- 2-1 1,0 1,,2 x "" 1-65 99999999999999999999; do
    usage "--threads \"$threads\"" "--threads must be a number from 1 to 64, a range" --threads="$threads"
done
usage "no rounds" "--rounds must be a number from 1 to 1000" --rounds 0
usage "too few objects" "--objects must be a number from 1000" --objects 999
usage "too many objects" "--objects must be a number from 1000 to 16777216" --objects 16777217
usage "no time" "--timeout must be a number from 1" --timeout 0
usage "either --pid or paths" "give only one source of sizes" --sizes lz4 --pid 1
usage "two sources of one kind" "give only one source of sizes" --sizes lz4 --sizes zstd
usage "two forms" "give either --json or --csv" --json --csv
usage "an empty source" "--sizes is empty" --sizes ""
usage "an empty spec" "--type is empty" --type ""
usage "a driver twice" "given twice" --type zbud --type zbud
usage "a driver as an argument" "takes no arguments" zbud
usage "a picture of an unknown format" "ends in .svg or .png" --plot "$work/picture.gif"
usage "a picture without a suffix" "ends in .svg or .png" --plot "$work/svg"
usage "a descriptor without a job" "there is no job" --run-job=0,1
usage "a malformed job" "there is no job" --run-job=x
fails "an unknown driver" 'No driver "nosuch"' --type nosuch
fails "an unknown parameter" 'no parameter "nosuch"' --type zbud:nosuch=1
quick --type zbud:limit=64K --peer none -w fill
exits "a pool that is full is a failure" 1
warns "the message has the reason" "^zpoolctl: zbud:limit=64K: malloc failed for an object of [0-9]+ bytes: "

# --- Sizes from a process
# -------------------------------------------------------------------------------------------------------

fails "a process that does not exist" "there is no process 2147483647" --pid 2147483647
usage "the process 0" "--pid must be a number from 1" --pid 0
victim=$builddir/tests/tools/victim
mkfifo "$work/ready"
"$victim" "$work/ready" &
pid=$!
trap 'kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
read -r _ <"$work/ready"
run bench --rounds 1 --type libc --peer none -w fill --json --pid "$pid"
if [ "$status" -eq 0 ] || ! grep -q "may not be read" "$work/err"; then
    exits "sizes come from a process" 0
    prints "the output has the source of the sizes" "pages of process $pid, compressed with lz4"
fi
kill "$pid"
wait "$pid" 2>/dev/null
fails "a process that has ended" "there is no process $pid" --pid "$pid"
trap 'rm -rf "$work"' EXIT

# --- Pictures --------------------------------------------------------------------------------------------------------

# This gnuplot prints the commands that it receives.
mkdir "$work/bin" "$work/none"
cat >"$work/bin/gnuplot" <<'END'
#!/bin/sh
cat
END
chmod +x "$work/bin/gnuplot"
path=$PATH
echo before >"$work/picture.svg"
# shellcheck disable=SC2123 # the shell needs no program from PATH here
PATH=$work/none
run bench --objects 1000 --plot "$work/picture.svg"
PATH=$path
exits "a picture without gnuplot is a failure" 1
warns "the message names the package" "--plot needs gnuplot, which is not installed"
is "nothing is measured first" "" "$(cat "$work/out")"
is "the file has not changed" before "$(cat "$work/picture.svg")"
fails "a picture in a missing directory" "/nowhere/picture.svg: cannot be written" --plot "$work/nowhere/picture.svg"
PATH=$work/bin:$path
quick --type zbud --peer glibc --plot "$work/picture.svg"
exits "a picture is drawn" 0
cp "$work/picture.svg" "$work/out"
prints "the picture has the requested format" "^set terminal svg"
prints "the picture has the times of each allocator" "using 3:xtic.*'glibc'"
prints "the picture has the memory" "memory0 using 1:2 .* 'zbud'"
quick --type zbud --peer none -w fill --plot "$work/picture.png"
cp "$work/picture.png" "$work/out"
prints "PNG is drawn as well" "^set terminal png"
quick --type zsmalloc:max=256 --type zsmalloc:max=512 --type zbud --peer none --sizes fixed:400 \
    --plot "$work/picture.svg"
exits "allocators that cannot do everything are drawn" 0
prints "one reason stands for all measures" \
    "^zsmalloc:max=256: fill, churn, .*, evict, stall: it accepts objects of up to 256 bytes, and 1000 of the 1000 are"
cp "$work/picture.svg" "$work/out"
prints "a time that is missing leaves a gap" '^"hot pair" NaN [0-9.]+$'
prints "the memory of an allocator with figures is drawn" "memory1 using 1:2 .* 'zsmalloc:max=512'"
prints_not "an allocator without figures is left out" "memory0|max=256"
printf '#!/bin/sh\necho half\nexit 1\n' >"$work/bin/gnuplot"
echo before >"$work/picture.svg"
quick --type zbud --peer none -w fill --plot "$work/picture.svg"
exits "a picture that cannot be drawn is a failure" 1
warns "the message has the reason" "picture.svg: gnuplot could not draw the picture"
is "the file is as it was" before "$(cat "$work/picture.svg")"
is "no temporary file is left" "" "$(find "$work" -maxdepth 1 -name '.zpoolctl-*')"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/gnuplot"
quick --type zbud --peer none --plot "$work/picture.svg"
exits "a gnuplot that reads nothing is a failure" 1
rm "$work/picture.svg"
quick --type zbud --peer none -w fill --plot "$work/picture.svg"
holds "the failure leaves no file" ! -e "$work/picture.svg"
PATH=$path
if command -v gnuplot >"$work/which"; then
    quick --type zbud --peer glibc --plot "$work/picture.svg"
    exits "the real gnuplot draws" 0
    silent "the real gnuplot prints no message"
    cp "$work/picture.svg" "$work/out"
    prints "the picture is complete" "^</svg>"
fi

# --- Drivers that misbehave, and signals -----------------------------------------------------------------------------

if ! is_linked_in zbud; then
    # Alone, because any driver may do nothing for a second on a busy machine.
    use_drivers hang
    quick --peer none --timeout 1
    exits "a driver that hangs is a failure" 1
    warns "a hang is reported" "^zpoolctl: hang: stopped after 1 s"
    use_drivers zbud crash exits lethal
    quick --peer none --json
    exits "drivers that fail are a failure" 1
    warns "a crash is reported" "^zpoolctl: crash: killed by SIGABRT"
    warns "an exit is reported" "^zpoolctl: exits: "
    warns "a driver that dies while it is loaded is reported" "^zpoolctl: lethal: .*SIGKILL"
    is "the other allocators are measured" 4000 "$(figure zbud churn rounds 0 operations)"
    is "a failed allocator has its reason" "killed by SIGABRT (Aborted)" "$(value allocators allocator=crash not_measured)"

    use_drivers hang
    for signal in INT:130 TERM:143; do
        expected=${signal#*:}
        signal=${signal%:*}
        env --default-signal=INT "$zpoolctl" bench --type hang --peer none --timeout 600 >"$work/out" 2>"$work/err" &
        pid=$!
        tries=0
        until job_of "$pid" >"$work/pids" || [ $tries -ge 600 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        child=$(cat "$work/pids")
        status=0
        kill -"$signal" "$pid"
        wait "$pid" || status=$?
        exits "$signal ends the tool" "$expected"
        tries=0
        while kill -0 "$child" 2>/dev/null && [ $tries -lt 100 ]; do
            sleep 0.1
            tries=$((tries + 1))
        done
        holds "$signal ends the process that measures" $tries -lt 100
        is "no table is printed after $signal" "" "$(cat "$work/out")"
    done
fi
finish
