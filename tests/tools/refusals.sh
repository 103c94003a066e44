#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What zpoolctl's commands refuse before they do any work: drivers and peers that they cannot use, inputs that are
# damaged or too large, and places where they cannot write.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

mkdir "$work/none" "$work/input"
text_file "$work/input/text" 100000

# No driver at all.
use_drivers zbud
if ! is_linked_in zbud; then
    ZPOOL_PLUGIN_PATH=$work/none
    run bench --peer=none
    exits "bench without a driver is a failure" 1
    warns "bench names the directory without drivers" "no driver found in $work/none; set ZPOOL_PLUGIN_PATH"
    run store "$work/input/text"
    exits "store without a driver is a failure" 1
    run info zbud
    exits "info without a driver is a failure" 1
    warns "info names the directory without drivers" "No driver found in $work/none"
    ZPOOL_PLUGIN_PATH=$work/plugins
fi

# Drivers and peers.
use_drivers zbud guard
run bench --peer=none -t guard
exits "bench of a filter alone is a failure" 1
warns "the message tells what to write" "guard: a filter needs a driver below it: write --type guard\+DRIVER"
run bench --peer=none -t zbud:limit=1M --workload=evict --objects=1000 --rounds=1
prints "a spec with a limit is no cache of limited size" "its spec has a limit"
run bench --peer=none -t "zbud:$(printf 'x%.0s' $(seq 5000))"
exits "a spec that is too long is a usage error" 2
warns "the message has the largest length" "type is longer than [0-9]+ characters"
run bench --threads=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20 --peer=none -t zbud
exits "too many numbers of threads are a usage error" 2
warns "the message tells the reason" "too many|more than [0-9]+ numbers of threads"
# An ordinary user's PATH lacks the directory of ldconfig. A sanitizer's library must be loaded before all others.
jemalloc=$(PATH=$PATH:/usr/sbin:/sbin ldconfig -p 2>/dev/null | sed -n 's/.*=> \(.*libjemalloc\.so\.2\)$/\1/p' | head -n 1)
if [ -z "${SANITIZER_CFLAGS:-}" ]; then
    if [ -n "$jemalloc" ]; then
        LD_PRELOAD=$jemalloc
        export LD_PRELOAD
        run bench --peer=glibc -t zbud --objects=1000 --rounds=1 --workload=fill
        unset LD_PRELOAD
        exits "glibc cannot be measured below another malloc" 1
        warns "the message tells the reason" "glibc: another malloc is preloaded in its place"
    fi
    LD_PRELOAD=libm.so.6
    export LD_PRELOAD
    run bench --peer=jemalloc -t zbud --objects=1000 --rounds=1 --workload=fill
    unset LD_PRELOAD
    if [ -n "$jemalloc" ]; then
        prints "another library may be preloaded beside a malloc" "^jemalloc"
    else
        warns "a malloc that is missing is named with its package" "jemalloc.*cannot be preloaded \(Debian: "
    fi
fi

# Sizes.
run bench --peer=none -t zbud --objects=16777216 --sizes=fixed:65536
exits "more objects than memory are a failure" 1
warns "the message has both sizes" "may need .* of memory, and .* are available: give fewer --objects"
status=0
sh -c 'exec "$0" bench --peer=none -t zbud --pid=$$' "$zpoolctl" >"$work/out" 2>"$work/err" </dev/null || status=$?
exits "the tool's own memory is refused" 1
warns "the message tells the reason" "is zpoolctl itself"
if [ "$(cat /proc/2/comm 2>/dev/null)" = kthreadd ]; then
    run bench --peer=none -t zbud --pid=2
    exits "a kernel thread has no pages" 1
    warns "the message names the process" "process 2"
fi

# Inputs of store.
ln -s nowhere "$work/input/dangling"
run store -t zbud "$work/input/text" "$work/input/dangling"
warns "a dangling link is named" "dangling: .*(dangling symbolic link|No such file)"
prints "the other files are stored" "^zbud .*identical"

# Places for output.
: >"$work/file"
for path in "" "$work/file/below" "$work/none/missing/report" "$work/none"; do
    run check --junit "$path" --case driver_is_found_by_its_name zbud
    exits "a report cannot be written to \"$path\"" 1
    warns "the message names \"$path\"" "cannot (write|be written)|No such file|Not a directory|Is a directory"
done
if [ -w /dev/full ]; then
    status=0
    "$zpoolctl" list --json >/dev/full 2>"$work/err" </dev/null || status=$?
    : >"$work/out"
    exits "a list on a full file system is a failure" 1
    warns "the message tells the reason" "No space left on device"
fi

# Cases of the conformance suite.
# shellcheck disable=SC2046 # a list of words
run check --case driver_is_found_by_its_name $(printf -- '--case driver_is_found_by_its_name %.0s' $(seq 300)) zbud
exits "too many cases are a usage error" 2
warns "the message has the largest number" "at most [0-9]+ cases can be given"

# Traces with a damaged header.
recorder=$builddir/tests/tools/recorder
if [ -x "$recorder" ] && cp "$builddir/plugins/.libs/trace.so" "$work/plugins/" 2>/dev/null; then
    "$recorder" "trace:file=$work/trace+zbud" 100 1 >/dev/null
    # damaged NAME OFFSET BYTES PATTERN: replaces bytes (octal escapes of printf) at an offset; the message must match
    damaged()
    {
        cp "$work/trace" "$work/damaged"
        # shellcheck disable=SC2059 # the format is the bytes
        printf "$3" | dd of="$work/damaged" bs=1 seek="$2" conv=notrunc 2>/dev/null
        run replay "$work/damaged"
        exits "$1 is a failure" 1
        warns "$1: the message tells where and why" "$4"
    }
    damaged "version 0" 8 '\0' "at byte 8, the format version is 0"
    damaged "a spec that is too long" 12 '\377\377\377' "at byte 12, its spec has [0-9]+ bytes, more than"
    damaged "a checksum that does not match" 32 '\1\2\3\4' "at byte 32, the checksum of its header does not match"
    head -c 20 "$work/trace" >"$work/damaged"
    run replay "$work/damaged"
    exits "a header that is cut off is a failure" 1
    warns "the message tells the length" "cut off"
    run bench --peer=none -t zbud --sizes="$work/damaged" --objects=1000
    exits "sizes from a damaged trace are a failure" 1
fi
finish
