#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl bench: what it measures on few objects, where sizes come from, and what it says of bad input.  No time is
# judged, and of memory only what holds on every machine.

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zsmalloc zbud libc
: >"$work/out"
: >"$work/err"

# quick ARGUMENT...: one round on the fewest objects
quick()
{
    run bench --objects 1000 --rounds 1 "$@"
}

# usage NAME PATTERN ARGUMENT...: the status is 2, a message matches, and nothing is on standard output.
# fails NAME PATTERN ARGUMENT...: the same with status 1.
refused()
{
    expected=$1
    name=$2
    pattern=$3
    shift 3
    run bench "$@"
    exits "$name is refused" "$expected"
    says "the message for $name" "$pattern"
    is "$name prints nothing else" "" "$(cat "$work/out")"
}
usage()
{
    refused 2 "$@"
}
fails()
{
    refused 1 "$@"
}

# figure ALLOCATOR MEASURE KEY...: of the JSON that was printed
figure()
{
    allocator=$1
    measure=$2
    shift 2
    value allocators "allocator=$allocator" figures "measure=$measure" "$@"
}

# at_most NAME A B: numbers
at_most()
{
    if awk -v a="$2" -v b="$3" 'BEGIN { exit !(a ~ /^[0-9]/ && b ~ /^[0-9]/ && a + 0 <= b + 0) }'; then
        report ok "$1"
    else
        report no "$1" "$2 is more than $3"
    fi
}

# --- What is measured ------------------------------------------------------------------------------------------------

quick --type zsmalloc:compact=no --type libc --peer glibc --threads 1,2 --json
exits "every workload is measured" 0
silent "there is no message"
is "objects" 1000 "$(value sizes objects)"
for measure in fill:1000 churn:4000 long-churn:36000 read:4000 pair-empty:10000 pair-full:10000 pair-holes:10000 \
    pair-compacted:10000 pair-trimmed:10000 pair-worn:10000 transfer:2000 evict:4000; do
    for allocator in zsmalloc:compact=no glibc; do
        is "$allocator does ${measure%:*} ${measure#*:} times" "${measure#*:}" \
            "$(figure $allocator "${measure%:*}" rounds 0 operations)"
    done
done
is "what cannot evict is skipped with the reason" "it cannot evict" \
    "$(value allocators allocator=libc skipped evict)"
is "the time of a malloc that is the only one is the fastest" 1.0 "$(figure glibc churn ratio)"
is "glibc's calls of madvise are not known" null "$(figure glibc churn rounds 0 madvise_calls)"
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
holds "a call beside compaction is timed" "$(figure glibc stall latency store calls)" -gt 0
holds "memory over time has samples" "$(value allocators 0 timeline length)" -gt 50
live=$(figure glibc fill rounds 0 live_bytes)
is "all fill the same sizes" "$live" "$(figure zsmalloc:compact=no fill rounds 0 live_bytes)"
if [ -z "${SANITIZER_CFLAGS:-}" ]; then
    at_most "memory is more than what is live" 1 "$(figure glibc fill footprint)"
fi
dropped=$(figure zsmalloc:compact=no drop rounds 0 pool_bytes)
compacted=$(figure zsmalloc:compact=no compact rounds 0 pool_bytes)
at_most "compaction makes the pool smaller" $((compacted + 4096)) "$dropped"
holds "by moving objects" "$(figure zsmalloc:compact=no compact rounds 0 moved_bytes)" -gt 0
is "libc moves none" null "$(figure libc compact rounds 0 moved_bytes)"
holds "madvise is counted" "$(figure zsmalloc:compact=no compact rounds 0 madvise_calls)" -gt 0
is "two threads share the work" 4000 "$(value allocators 0 figures 16 rounds 0 operations)"
is "and the figure names their number" 2 "$(value allocators 0 figures 16 threads)"

# The same seed stores the same objects, another one others.
quick --type zbud --peer none -w fill -w churn --seed 7 --json
first=$(figure zbud churn rounds 0 live_bytes)
quick --type zbud --peer none -w fill -w churn --seed 7 --json
is "a seed repeats a run" "$first" "$(figure zbud churn rounds 0 live_bytes)"
quick --type zbud --peer none -w fill -w churn --seed 8 --json
holds "another seed is another run" "$first" != "$(figure zbud churn rounds 0 live_bytes)"
is "what is not asked for is not measured" 2 "$(value allocators 0 figures length)"

quick -w pair --type libc --peer none --json
is "the pair alone is measured in every state" 6 "$(value allocators 0 figures length)"
quick -w stall --type libc --peer none --json
exits "stalls alone are measured" 0
is "stalls are no operations of rounds" 1 "$(value allocators 0 figures length)"

# --- Tables and other forms ------------------------------------------------------------------------------------------

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
holds "no host name is" "$(grep -cFw -- "$(uname -n)" "$work/out")" -eq 0

quick --type zsmalloc:compact=no,chain=4 --peer none -w fill --csv
exits "CSV succeeds" 0
is "a head and a line" 2 "$(wc -l <"$work/out")"
prints "text with commas is quoted" '^"zsmalloc:compact=no,chain=4",driver,1,fill,[0-9]'
is "as many fields as heads" 1 "$(sed 's/^"[^"]*"/x/' "$work/out" | awk -F, '{ print NF }' | sort -u | wc -l)"

# --- Where sizes come from -------------------------------------------------------------------------------------------

seq 100 4000 >"$work/sizes"
run bench --rounds 1 --type libc --peer none -w fill --json --sizes "$work/sizes"
exits "sizes come from a file" 0
is "few are repeated" 10000 "$(value sizes objects)"
is "up to the largest" 4000 "$(value sizes largest)"
awk 'BEGIN { for (i = 0; i < 12000; i++) print 64 + i % 100 }' >"$work/many"
run bench --rounds 1 --type libc --peer none -w fill --json --sizes "$work/many"
is "many are all taken" "12000 1362000" "$(value sizes objects) $(value sizes bytes)"
run bench --objects 2000 --rounds 1 --type libc --peer none -w fill --json --sizes - <"$work/many"
printf '\r\n 5\t\r\n\n6' >"$work/blank"
quick --type libc --peer none -w fill --json --sizes "$work/blank"
is "blanks, empty lines and a missing end of line do no harm" 5500 "$(value sizes bytes)"
status=0
"$zpoolctl" bench --rounds 1 --type libc --peer none -w fill --json --sizes - <"$work/many" >"$work/out" 2>"$work/err" || status=$?
exits "sizes come from standard input" 0
is "all of them" 1362000 "$(value sizes bytes)"
for source in lz4 zstd fixed:100 uniform:1-64K exponential:300; do
    quick --type libc --peer none -w fill --json --sizes $source
    exits "sizes come from $source" 0
done
quick --type libc --peer none -w fill --json --sizes fixed:100
is "fixed sizes are" 100000 "$(value sizes bytes)"
quick --type libc --peer none -w fill --json --sizes uniform:1-1000
at_most "uniform sizes have the mean that they should have" 499000 "$(value sizes bytes)"
at_most "and not more" "$(value sizes bytes)" 502000
recorder=$builddir/tests/tools/recorder
if ! is_linked_in zbud && [ -e "$builddir/plugins/.libs/trace.so" ]; then
    cp "$builddir/plugins/.libs/trace.so" "$work/plugins/"
    "$recorder" "trace:file=$work/run.trace+zbud" 5000 3 >"$work/did"
    rm "$work/plugins/trace.so"
    run bench --rounds 1 --type libc --peer none -w fill --json --sizes "$work/run.trace"
    exits "sizes come from a recorded trace" 0
    holds "which has some" "$(value sizes bytes)" -gt 1000000
    bytes=$(value sizes bytes)
    "$zpoolctl" bench --rounds 1 --type libc --peer none -w fill --json --sizes - \
        <"$work/run.trace" >"$work/out" 2>"$work/err"
    is "also on standard input" "$bytes" "$(value sizes bytes)"
    head -c 40 "$work/run.trace" >"$work/cut.trace"
    fails "a trace without objects" "cut.trace" --sizes "$work/cut.trace"
fi

# A driver for which objects are too large is left out, and the reason is printed.
quick --type zbud --peer none -w fill --sizes fixed:4000
exits "objects that are too large fail the driver that was named" 1
prints "and the reason is printed" "^zbud: fill: it accepts objects of up to 3968 bytes, and 1000 of the 1000 are larger"

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
fails "a number without end" "huge: line 2 is not a size" --sizes "$work/huge"
fails "a size above the most" "large: line 2 is 2000000: the size of an object must be from 1" --sizes "$work/large"
fails "a program" "line 1 is not a size" --sizes /bin/sh
fails "zeros without end" "/dev/zero: line 1 is not a size" --sizes /dev/zero
fails "a folder" "Is a directory" --sizes "$work"
fails "a file that is not there" "/nosuch: No such file" --sizes "$work/nosuch"
fails "an unknown name" "nosuch: there is neither a file nor a distribution of this name: the distributions are lz4" --sizes nosuch
for name in fixed: fixed:0 fixed:2M uniform:5 uniform:9-5 uniform:0-5 exponential: exponential:x; do
    fails "the distribution $name" "is not a distribution of sizes" --sizes $name
done
yes 8 2>"$work/yes" | head -n 17000000 >"$work/lines"
fails "a file with too many sizes" "has more than 16777216 sizes" --sizes "$work/lines"
rm "$work/lines"
mkfifo "$work/endless"
yes '' >"$work/endless" 2>"$work/yes" &
fails "blank lines without end" "has more than 128 MiB" --sizes "$work/endless"
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
usage "a picture of an unknown kind" "ends in .svg or .png" --plot "$work/picture.gif"
usage "a picture without a kind" "ends in .svg or .png" --plot "$work/svg"
usage "a descriptor without a job" "there is no job" --run-job=0,1
usage "a malformed job" "there is no job" --run-job=x
fails "an unknown driver" 'No driver "nosuch"' --type nosuch
fails "an unknown parameter" 'no parameter "nosuch"' --type zbud:nosuch=1
quick --type zbud:limit=64K --peer none -w fill
exits "a pool that is full is a failure" 1
says "and the message says so" "^zpoolctl: zbud:limit=64K: malloc failed for an object of [0-9]+ bytes: "

# --- A process -------------------------------------------------------------------------------------------------------

fails "a process that is not there" "there is no process 2147483647" --pid 2147483647
usage "no process" "--pid must be a number from 1" --pid 0
victim=$builddir/tests/tools/victim
mkfifo "$work/ready"
"$victim" "$work/ready" &
pid=$!
trap 'kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
read -r _ <"$work/ready"
run bench --rounds 1 --type libc --peer none -w fill --json --pid "$pid"
if [ "$status" -eq 0 ] || ! grep -q "may not be read" "$work/err"; then
    exits "sizes come from a process" 0
    prints "and the output says so" "pages of process $pid, compressed with lz4"
fi
kill "$pid"
wait "$pid" 2>/dev/null
fails "a process that is gone" "there is no process $pid" --pid "$pid"
trap 'rm -rf "$work"' EXIT

# --- Pictures --------------------------------------------------------------------------------------------------------

# A gnuplot that prints its commands.
mkdir "$work/bin" "$work/none"
cat >"$work/bin/gnuplot" <<'END'
#!/bin/sh
cat
END
chmod +x "$work/bin/gnuplot"
path=$PATH
echo before >"$work/picture.svg"
# shellcheck disable=SC2123 # the shell needs nothing from it here
PATH=$work/none
run bench --objects 1000 --plot "$work/picture.svg"
PATH=$path
exits "a picture without gnuplot is refused" 1
says "and the message names the package" "--plot needs gnuplot, which is not installed"
is "nothing is measured first" "" "$(cat "$work/out")"
is "and the file is as it was" before "$(cat "$work/picture.svg")"
fails "a picture in a folder that is not there" "/nowhere/picture.svg: cannot be written" --plot "$work/nowhere/picture.svg"
PATH=$work/bin:$path
quick --type zbud --peer glibc --plot "$work/picture.svg"
exits "a picture is drawn" 0
cp "$work/picture.svg" "$work/out"
prints "of the kind that was asked for" "^set terminal svg"
prints "with the times of each allocator" "using 3:xtic.*'glibc'"
prints "and the memory" "memory0 using 1:2 .* 'zbud'"
quick --type zbud --peer none -w fill --plot "$work/picture.png"
cp "$work/picture.png" "$work/out"
prints "PNG is drawn as well" "^set terminal png"
printf '#!/bin/sh\necho half\nexit 1\n' >"$work/bin/gnuplot"
echo before >"$work/picture.svg"
quick --type zbud --peer none -w fill --plot "$work/picture.svg"
exits "a picture that cannot be drawn is a failure" 1
says "and the message says so" "picture.svg: gnuplot could not draw the picture"
is "the file is as it was" before "$(cat "$work/picture.svg")"
is "and nothing lies beside it" "" "$(find "$work" -maxdepth 1 -name '.zpoolctl-*')"
printf '#!/bin/sh\nexit 1\n' >"$work/bin/gnuplot"
quick --type zbud --peer none --plot "$work/picture.svg"
exits "a gnuplot that reads nothing is a failure" 1
rm "$work/picture.svg"
quick --type zbud --peer none -w fill --plot "$work/picture.svg"
holds "that makes no file" ! -e "$work/picture.svg"
PATH=$path
if command -v gnuplot >"$work/which"; then
    quick --type zbud --peer glibc --plot "$work/picture.svg"
    exits "the real gnuplot draws" 0
    silent "the real gnuplot has no complaints"
    cp "$work/picture.svg" "$work/out"
    prints "to the end" "^</svg>"
fi

# --- Drivers that misbehave, and signals -----------------------------------------------------------------------------

if ! is_linked_in zbud; then
    use_drivers zbud crash hang exits lethal
    quick --peer none --timeout 1 --json
    exits "drivers that fail are a failure" 1
    says "a crash is reported" "^zpoolctl: crash: killed by SIGABRT"
    says "a hang is reported" "^zpoolctl: hang: stopped after 1 s"
    says "an exit is reported" "^zpoolctl: exits: "
    says "a death at load is reported" "^zpoolctl: lethal: .*SIGKILL"
    is "and the others are measured" 4000 "$(figure zbud churn rounds 0 operations)"
    is "what failed has its reason" "killed by SIGABRT (Aborted)" "$(value allocators allocator=crash not_measured)"

    for signal in INT:130 TERM:143; do
        expected=${signal#*:}
        signal=${signal%:*}
        env --default-signal=INT "$zpoolctl" bench --type hang --peer none --timeout 600 >"$work/out" 2>"$work/err" &
        pid=$!
        tries=0
        until pgrep -P "$pid" -f run-job >"$work/pids" || [ $tries -ge 600 ]; do
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
        is "$signal leaves no table" "" "$(cat "$work/out")"
    done
fi
finish
