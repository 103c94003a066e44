#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kill.sh - after a kill at a random moment, a disk's backing has all flushed data, and no block is half written
#
# The test kills the server three times, or ZPOOL_TEST_KILLS times if that is set; make check-soak-nbdkit sets it to
# 100.

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
crash=$builddir/tests/hosts/nbdkit/crash
[ -x "$crash" ] || skip "libnbd was not found at configure time (Debian: libnbd-dev)"

kills=${ZPOOL_TEST_KILLS:-3}
seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "seed $seed (set ZPOOL_TEST_SEED to repeat)"

# killed_once BACKING IMAGE: kills a server once and verifies IMAGE, the file that contains the disk.
killed_once()
{
    start front "$plugin" backing="$1" limit=2M || finish
    timeout 60 "$crash" write "$(uri front)" "$seed" "$work/state" >"$work/out" 2>&1 &
    writer=$!
    for _ in $(seq 300); do
        grep -q '^ready' "$work/out" && break
        sleep 0.1
    done
    sleep "$(awk -v seed="$seed" 'BEGIN { srand(seed); printf "%.3f", rand() }')"
    stop front KILL
    status=0
    wait $writer || status=$?
    is "the client found nothing wrong at the beginning, seed $seed" 0 "$status"
    [ "$status" -eq 0 ] || cat "$work/out"
    works "the image has all flushed data, seed $seed" "$crash" verify "$2" "$work/state"
    seed=$((seed + 1))
}

truncate -s 16M "$work/file" "$work/served"
start behind file "$work/served" || finish
for i in $(seq "$kills"); do
    if [ $((i % 3)) -eq 0 ]; then
        killed_once "$(uri behind)" "$work/served"
    else
        killed_once "$work/file" "$work/file"
    fi
    [ "$failures" -eq 0 ] || break
done
stop behind
finish
