#!/bin/sh
# SPDX-License-Identifier: MIT
#
# fio.sh - fio writes data and verifies them, with several jobs
#
# Each case takes two seconds, or ZPOOL_TEST_FIO_SECONDS if that is set.

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs fio fio
fio --enghelp=nbd >"$work/out" 2>&1
grep -q '^uri' "$work/out" || skip "fio was built without its nbd engine"
seconds=${ZPOOL_TEST_FIO_SECONDS:-2}
cd "$work" || exit 99 # where fio leaves files about a failed verification

# verified NAME ARGUMENT...: checks that fio reads back what it wrote.  serialize_overlap keeps fio from reading a block
# while it writes it: NBD does not promise that requests of several units are atomic to each other.
verified()
{
    name=$1
    shift
    status=0
    timeout "$((seconds + 60))" fio --ioengine=nbd --uri="$(uri disk)" --verify=crc32c --verify_fatal=1 --randrepeat=0 \
        --buffer_compress_percentage=60 --refill_buffers --time_based --runtime="$seconds" --offset_increment=32m \
        --size=32m --numjobs=2 --iodepth=16 --serialize_overlap=1 --name="$name" "$@" >"$work/out" 2>&1 </dev/null || status=$?
    if [ "$status" -eq 0 ] && ! grep -Eq 'verify:|err= *[1-9]' "$work/out" &&
        grep -Eq 'issued rwts: total=[1-9]' "$work/out"; then
        report ok "fio: $name"
    else
        report no "fio: $name" "exit status $status" "$work/out"
    fi
}

start disk "$plugin" 64M compressor=zstd:1 || finish
verified units_at_random --rw=randwrite --bs=4k --verify_backlog=256
verified sectors_at_random --rw=randwrite --bs=512 --verify_backlog=256
verified requests_of_odd_lengths --rw=write --bsrange=512-64k --bs_unaligned --verify_backlog=64
verified reads_and_writes --rw=randrw --bs=16k --verify_backlog=64
stop disk
is "nbdkit exits with status 0" 0 "$?"
finish
