#!/bin/sh
# SPDX-License-Identifier: MIT
#
# requests.sh - requests of any offset and length give the same data as a model, with one connection and with eight

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
[ -x "$client" ] || skip "libnbd was not found at configure time (Debian: libnbd-dev)"

seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "seed $seed (set ZPOOL_TEST_SEED to repeat)"

# try SIZE PARAMETER...: runs the model test and then the threads test, each on a new disk
try()
{
    for test in model threads; do
        start disk "$plugin" "$@" || return
        works "requests match the model: $test, $*" "$client" "$test" "$(uri disk)" "$seed"
        stop disk
        is "nbdkit exits with status 0" 0 "$?"
        seed=$((seed + 1))
    done
}

try 4M
# The size of the first disk is not a multiple of the unit.
try 3000001 compressor=zstd:1
try 1000000 unit=512 driver=zbud
try 5000000 unit=64K # Some of these units do not shrink and are as long as the driver's longest object.
try 2M compressor=none driver=guard+zsmalloc
start disk "$plugin" 1G && works "the plugin reports the expected extents" "$client" extents "$(uri disk)"
cat "$work/out"
stop disk
finish
