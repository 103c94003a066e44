#!/bin/sh
# SPDX-License-Identifier: MIT
#
# requests.sh - requests of any offset and length, from one connection and from eight, compared with a model

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
[ -x "$client" ] || skip "libnbd was not found at configure time (Debian: libnbd-dev)"

seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "seed $seed (set ZPOOL_TEST_SEED to repeat)"

# try SIZE PARAMETER...: the model, then the threads, each on a new disk
try()
{
    for test in model threads; do
        start disk "$plugin" "$@" || return
        works "requests match the model: $test, $*" "$client" "$test" "$(uri disk)" "$seed"
        stop disk
        is "nbdkit ends well" 0 "$?"
        seed=$((seed + 1))
    done
}

try 4M
# The last unit is not whole, and others neither.
try 3000001 compressor=zstd:1
try 1000000 unit=512 driver=zbud
try 5000000 unit=64K
try 2M compressor=none driver=guard+zsmalloc
start disk "$plugin" 1G && works "extents are told" "$client" extents "$(uri disk)"
cat "$work/out"
stop disk
finish
