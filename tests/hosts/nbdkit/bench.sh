#!/bin/sh
# SPDX-License-Identifier: MIT
#
# bench.sh - compares the plugin with nbdkit's memory plugin and with the kernel's zram; run by make bench-nbdkit
#
# One run measures the servers in turn, for several rounds.  fio writes and reads 4 KiB at random offsets of a range of
# 256 MiB, which holds data that compress to 40 %, with two jobs of 16 requests each.  Then one archive is stored in a
# disk of each kind and in /dev/zram0, which has to exist and be unused, and to be writable for the caller.  A store,
# without nbdkit, and the device are also compared by the time of single units of 4 KiB.  The result is a table of
# medians, and the ratios to the memory plugin with zstd, or to zram.
#
#   ZPOOL_BENCH_ROUNDS    rounds (5); with 0, only the comparison with zram
#   ZPOOL_BENCH_SECONDS   seconds of each measurement (5)
#   ZPOOL_BENCH_PREFIX    a command that starts servers and fio, such as "chrt -f 50"

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs fio fio
needs nbdcopy libnbd-bin
rounds=${ZPOOL_BENCH_ROUNDS:-5}
seconds=${ZPOOL_BENCH_SECONDS:-5}
server_prefix=${ZPOOL_BENCH_PREFIX:-}

# Each line is a name, a colon, and the plugin's arguments for nbdkit.
servers_by_turns="memory,zstd:memory 1G allocator=zstd
memory,sparse:memory 1G allocator=sparse
zpool,lz4:$plugin 1G compressor=lz4
zpool,zstd-1:$plugin 1G compressor=zstd:1
zpool,zstd-3:$plugin 1G compressor=zstd:3"

# fio_column NUMBER ARGUMENT...: runs fio and prints one column of its terse output
fio_column()
{
    column=$1
    shift
    # shellcheck disable=SC2086 # a command
    $server_prefix fio --ioengine=nbd --uri="$(uri server)" --size=256m --buffer_compress_percentage=60 \
        --refill_buffers --group_reporting --output-format=terse --terse-version=3 "$@" </dev/null 2>/dev/null |
        grep '^3;' | cut -d';' -f"$column"
}

# memory_kib FIELD: prints a field of the server's /proc/PID/status
memory_kib()
{
    awk -v field="$1:" '$1 == field { print $2 }' "/proc/$server_pid/status"
}

# measure NAME ARGUMENT...: appends "NAME writes reads filled peak" to $work/results
measure()
{
    label=$1
    shift
    start server "$@" || finish
    server_pid=$(cat "$work/server.pid")
    fio_column 49 --name=fill --rw=write --bs=64k --numjobs=1 >"$work/out"
    filled=$(memory_kib VmRSS)
    # This resets VmHWM, which counts the peak from here on.
    echo 5 >"/proc/$server_pid/clear_refs"
    for kind in write:49 read:8; do
        fio_column "${kind#*:}" --name="${kind%:*}" --rw="rand${kind%:*}" --bs=4k --iodepth=16 --numjobs=2 --time_based \
            --runtime="$seconds" >"$work/${kind%:*}"
    done
    echo "$label $(cat "$work/write") $(cat "$work/read") $filled $(memory_kib VmHWM)" >>"$work/results"
    stop server
}

# median NAME COLUMN: prints the median of a column over all rounds
median()
{
    awk -v name="$1" -v column="$2" '$1 == name { print $column }' "$work/results" | sort -n |
        awk '{ value[NR] = $1 } END { print value[int((NR + 1) / 2)] }'
}

print_results()
{
    echo
    printf '%-14s %9s %9s %9s %9s %7s %7s %7s\n' SERVER WRITES/S READS/S FILLED PEAK GROWTH WRITES READS
    base_writes=$(median memory,zstd 2)
    base_reads=$(median memory,zstd 3)
    echo "$servers_by_turns" | cut -d: -f1 | while read -r name; do
        echo "$name $(median "$name" 2) $(median "$name" 3) $(median "$name" 4) $(median "$name" 5)"
    done | awk -v writes="$base_writes" -v reads="$base_reads" '{ printf "%-14s %9d %9d %8.1fM %8.1fM %7.3f %7.2f %7.2f\n",
        $1, $2, $3, $4 / 1024, $5 / 1024, $5 / $4, $2 / writes, $3 / reads }'
    echo
    echo "Medians of $rounds rounds of $seconds s. FILLED and PEAK are the memory of the whole server before the requests"
    echo "and at most during them, GROWTH is their ratio; the last two columns are ratios to memory,zstd."
    echo
}

# ----------------------------------------------------------------------------------------------------------------------

zram=/sys/block/zram0
zram_in_use=no

reset_zram()
{
    [ "$zram_in_use" = no ] || echo 1 >$zram/reset
    zram_in_use=no
}

# Most kernels have lz4 for zram; zstd is measured where the kernel has it.
compare_with_zram()
{
    if ! [ -w $zram/disksize ] || [ "$(cat $zram/disksize)" != 0 ]; then
        echo "zram: /dev/zram0 does not exist, is in use or is not writable, so nothing is compared with it"
        return
    fi
    trap 'reset_zram; clean_up' EXIT
    tar -cf "$work/archive" /usr/include /usr/share/perl /usr/lib/gcc /usr/share/zoneinfo 2>/dev/null
    truncate -s %1M "$work/archive"
    archive_bytes=$(stat -c %s "$work/archive")
    for compressor in lz4 zstd; do
        grep -qw $compressor $zram/comp_algorithm || continue
        echo $compressor >$zram/comp_algorithm
        echo "$archive_bytes" >$zram/disksize
        zram_in_use=yes
        dd if="$work/archive" of=/dev/zram0 bs=1M oflag=direct 2>/dev/null
        zram_bytes=$(awk '{ print $3 }' $zram/mm_stat)
        "$builddir/tests/bench/zram" /dev/zram0 "$work/archive" $compressor
        reset_zram
        start server "$plugin" "$archive_bytes" compressor=$compressor stats="$work/server.stats" || finish
        nbdcopy "$work/archive" "$(uri server)"
        stats server
        echo "$compressor $archive_bytes $zram_bytes $(stat_of server total_bytes) $(stat_of server index_bytes)" |
            awk '{ printf "zram, %s: %.1fM of data take %.1fM there (mem_used_total) and %.1fM here, of which the index has %.1fM: ratio %.3f\n",
                $1, $2 / 1048576, $3 / 1048576, $4 / 1048576, $5 / 1048576, $4 / $3 }'
        stop server
    done
    trap clean_up EXIT
}

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    echo "$servers_by_turns" >"$work/turns"
    while IFS=: read -r name arguments <&3; do
        # shellcheck disable=SC2086 # words
        measure "$name" $arguments
    done 3<"$work/turns"
done
[ "$rounds" -eq 0 ] || print_results
compare_with_zram
finish
