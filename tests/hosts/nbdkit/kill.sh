#!/bin/sh
# SPDX-License-Identifier: MIT
#
# kill.sh - a disk with a backing is killed at random moments: what was flushed is there, and no block is half new
#
# Three times, or as often as ZPOOL_TEST_KILLS says; make check-soak-nbdkit asks for a hundred.

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
crash=$builddir/tests/hosts/nbdkit/crash
[ -x "$crash" ] || skip "libnbd was not found at configure time (Debian: libnbd-dev)"

kills=${ZPOOL_TEST_KILLS:-3}
seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "seed $seed (set ZPOOL_TEST_SEED to repeat)"

# killed_once BACKING IMAGE: IMAGE is the file that has the disk.
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
    works "what was flushed is there, seed $seed" "$crash" verify "$2" "$work/state"
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
