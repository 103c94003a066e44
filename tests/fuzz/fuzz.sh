#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fuzz.sh SRCDIR fuzz|fuzz-afl|fuzz-minimise - search for faults with a fuzzing engine
#
# FUZZ_TARGETS are run one after the other, and FUZZ_SECONDS are divided among them: seconds of processor time with
# libFuzzer, so that other programs do not shorten the search, and elapsed seconds with AFL++.  The programs are built in
# ./fuzz-libfuzzer or ./fuzz-afl, with sanitizers and debug checks and without shared libraries.  New inputs that reach
# new code are kept in ./fuzz-corpus, findings in ./fuzz-findings.  `fuzz-minimise' rewrites the corpora in the source
# tree with a smallest set of inputs that reaches as much; inputs whose names have no digit stay as they are.

set -eu

srcdir=$1
action=$2
targets=${FUZZ_TARGETS:?names the targets}
seconds=${FUZZ_SECONDS:-60}
case $srcdir in
/*) ;;
*) srcdir=$PWD/$srcdir ;;
esac
top=$PWD
corpus=$top/fuzz-corpus
findings=$top/fuzz-findings

case $action in
fuzz | fuzz-minimise) engine=libfuzzer compiler=clang ;;
fuzz-afl) engine=afl compiler=afl-clang-fast ;;
*)
    echo "fuzz.sh: unknown action $action" >&2
    exit 2
    ;;
esac
if ! command -v "$compiler" >/dev/null || { [ "$engine" = afl ] && ! command -v afl-fuzz >/dev/null; }; then
    echo "$action: $compiler is not installed (Debian: clang, afl++)" >&2
    exit 77
fi

# ---- Build

# AFL++ loses inputs that only differ in how often a loop ran if the code is not optimised, and libFuzzer is slow then.
build() {
    mkdir -p "fuzz-$engine"
    (
        cd "fuzz-$engine"
        if [ ! -f config.status ]; then
            sanitizers=address,undefined
            [ "$engine" = afl ] || sanitizers=$sanitizers,fuzzer-no-link
            CC=$compiler LIB_FUZZING_ENGINE=-fsanitize=fuzzer "$srcdir/configure" --disable-shared --disable-hardening \
                --enable-debug-checks --enable-sanitizer=$sanitizers CFLAGS='-O1 -g'
        fi
        programs=
        for target in $targets; do
            programs="$programs tests/fuzz/$target"
        done
        # shellcheck disable=SC2086 # one word for each program
        make -s -j "$(nproc)" plugins/shipped.h $programs
    )
}

# ---- Run

# There are no plugins to find, and a crash is to be reported by the engine.
ZPOOL_PLUGIN_PATH=$top/fuzz-corpus
ASAN_OPTIONS=abort_on_error=1:allocator_may_return_null=1:detect_stack_use_after_return=0:symbolize=${FUZZ_SYMBOLIZE:-1}
UBSAN_OPTIONS=abort_on_error=1:print_stacktrace=1
export ZPOOL_PLUGIN_PATH ASAN_OPTIONS UBSAN_OPTIONS
unset ZPOOL_DEBUG

# Targets with large pools are several times as fast if the drivers verify themselves less often.
verify_every() {
    case $1 in
    ops) echo 2 ;;
    *) echo 16 ;;
    esac
}

# used PID - prints the seconds of processor time of a process and of its children that have ended; nothing if it ended
used() {
    awk -v hz="$(getconf CLK_TCK)" '{ sub(/.*\) /, "") } $1 != "Z" { print int(($12 + $13 + $14 + $15) / hz) }' \
        "/proc/$1/stat" 2>/dev/null
}

# run_for SECONDS LOG COMMAND... - runs a program of libFuzzer for this much processor time, and sets `spent' to what it took
run_for() {
    limit=$1 output=$2
    shift 2
    "$@" >"$output" 2>&1 &
    pid=$!
    trap 'kill "$pid" 2>/dev/null' EXIT
    trap 'exit 130' INT TERM HUP
    spent=0
    while now=$(used "$pid") && [ -n "$now" ]; do
        spent=$now
        # After this signal libFuzzer completes its current input and exits with status 0.
        [ "$now" -lt "$limit" ] || kill -USR1 "$pid" 2>/dev/null || break
        sleep 1
    done
    wait "$pid" && result=0 || result=$?
    trap - EXIT INT TERM HUP
    return "$result"
}

# statistic NAME LOG - prints a number of libFuzzer's final statistics
statistic() {
    sed -n "s/^stat::$1: *//p" "$2" | tail -n 1
}

# fuzz_libfuzzer TARGET SECONDS
fuzz_libfuzzer() {
    log=$findings/$1.log
    status=0
    # shellcheck disable=SC2086 # FUZZ_FLAGS has several words
    run_for "$2" "$log" "fuzz-$engine/tests/fuzz/$1" -max_len=4096 -len_control=0 -timeout=300 -report_slow_units=60 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$findings/$1-" ${FUZZ_FLAGS:-} "$corpus/$1" \
        "$srcdir/tests/fuzz/corpus/$1" || status=$?
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    printf '%-6s %9s inputs in %5s s of processor time, %6s edges, %5s new inputs in the corpus: %s\n' "$1" \
        "$(statistic number_of_executed_units "$log")" "$spent" "${edges:-0}" \
        "$(statistic new_units_added "$log")" "$([ "$status" = 0 ] && echo 'no finding' || echo FINDING)"
    return "$status"
}

# fuzz_afl TARGET SECONDS
fuzz_afl() {
    log=$findings/$1.log
    export AFL_SKIP_CPUFREQ=1 AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_NO_UI=1 AFL_NO_AFFINITY=1
    ASAN_OPTIONS=$ASAN_OPTIONS:symbolize=0:detect_leaks=0
    # shellcheck disable=SC2086 # FUZZ_FLAGS has several words
    if ! afl-fuzz -i "$srcdir/tests/fuzz/corpus/$1" -o "$top/fuzz-afl/out-$1" -V "$2" -m none -t 10000 ${FUZZ_FLAGS:-} -- \
        "fuzz-$engine/tests/fuzz/$1" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        return 1
    fi
    stats=$top/fuzz-afl/out-$1/default/fuzzer_stats
    found=0
    for file in "$top/fuzz-afl/out-$1/default/crashes"/id:* "$top/fuzz-afl/out-$1/default/hangs"/id:*; do
        [ -e "$file" ] || continue
        found=$((found + 1))
        cp "$file" "$findings/$1-afl-$found"
    done
    printf '%-6s %9s inputs, %6s a second, %6s edges: %s\n' "$1" "$(sed -n 's/^execs_done *: //p' "$stats")" \
        "$(sed -n 's/^execs_per_sec *: //p' "$stats")" "$(sed -n 's/^edges_found *: //p' "$stats")" \
        "$([ "$found" = 0 ] && echo 'no finding' || echo "$found FINDINGS")"
    [ "$found" = 0 ]
}

# fuzz_all - every target that was built, one after the other
fuzz_all() {
    count=0
    for target in $targets; do
        count=$((count + 1))
    done
    each=$(((seconds + count - 1) / count))
    failed=
    for target in $targets; do
        mkdir -p "$corpus/$target"
        ZPOOL_VERIFY=$(verify_every "$target")
        export ZPOOL_VERIFY
        "fuzz_$engine" "$target" "$each" || failed="$failed $target"
    done
    [ -n "$failed" ] || return 0
    cat >&2 <<END
$action: there are findings in $findings, each with the name of its target; TARGET.log has the reports.
To repeat one: fuzz-$engine/tests/fuzz/TARGET FILE
After it is mended, add the file to tests/fuzz/corpus/TARGET under a name that says what it found.
END
    return 1
}

# Inputs that were found by an engine have a digest for a name; others have a name that somebody chose.
minimise() {
    for target in $targets; do
        dir=$srcdir/tests/fuzz/corpus/$target
        rm -rf "$corpus/$target.min"
        mkdir -p "$corpus/$target" "$corpus/$target.min"
        for file in "$dir"/*; do
            case ${file##*/} in
            *[0-9]*) ;;
            *) cp "$file" "$corpus/$target.min/" ;;
            esac
        done
        # With counters, an input would be kept for every other number of rounds of a loop.
        "fuzz-$engine/tests/fuzz/$target" -merge=1 -use_counters=0 -max_len=4096 "$corpus/$target.min" "$dir" \
            "$corpus/$target" >"$findings/$target.log" 2>&1
        find "$dir" -type f -name '*[0-9]*' -exec rm -f {} +
        cp "$corpus/$target.min"/* "$dir/"
        printf '%-6s %s inputs of %s bytes\n' "$target" "$(find "$dir" -type f | wc -l)" "$(cat "$dir"/* | wc -c)"
    done
}

mkdir -p "$findings" "$corpus"
build
if [ "$action" = fuzz-minimise ]; then
    minimise
else
    fuzz_all
fi
