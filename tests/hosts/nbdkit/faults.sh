#!/bin/sh
# SPDX-License-Identifier: MIT
#
# faults.sh - a backing that fails or goes away: the client hears of it, nothing is lost, and it works again afterwards
#
# Copies that are going to fail have one request at a time, because nbdkit before 1.34 may fail an assertion when a client
# hangs up and other replies are still to be sent.

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin
nbdkit --filter=error null --dump-plugin >/dev/null 2>&1 || skip "nbdkit has no error filter"

dd if=/dev/urandom of="$work/first" bs=1M count=16 2>/dev/null
dd if=/dev/urandom of="$work/second" bs=1M count=16 2>/dev/null

# A backing that fails for as long as the file $work/broken exists.
for error in ENOSPC EIO; do
    truncate -s 0 "$work/served"
    truncate -s 16M "$work/served"
    start behind --filter=error file "$work/served" error-pwrite=$error error-zero=$error error-pwrite-rate=1 \
        error-zero-rate=1 error-file="$work/broken" || finish
    start front "$plugin" backing="$(uri behind)" limit=4M stats="$work/front.stats" || finish
    works "$error: an image is written" nbdcopy --flush "$work/first" "$(uri front)"
    : >"$work/broken"
    works "$error: it is still read" nbdcopy "$(uri front)" "$work/copy"
    same "$error: it is identical" "$work/first" "$work/copy"
    fails "$error: writing it once more fails" nbdcopy --synchronous "$work/second" "$(uri front)"
    case $error in
    ENOSPC) prints "$error: the client is told" 'No space left on device' ;;
    EIO) prints "$error: the client is told" 'Input/output error' ;;
    esac
    stats front
    holds "$error: the limit is kept" "$(stat_of front total_bytes)" -le 4194304
    holds "$error: failures are counted" "$(stat_of front write_errors)" -gt 0
    works "$error: all is read while it is broken" nbdcopy "$(uri front)" "$work/mixture"
    rm "$work/broken"
    works "$error: all is read when it works again" nbdcopy "$(uri front)" "$work/copy"
    same "$error: no unit was lost" "$work/mixture" "$work/copy"
    works "$error: writes work again" nbdcopy --flush "$work/second" "$(uri front)"
    stop front
    is "$error: nbdkit ends well" 0 "$?"
    stop behind
    same "$error: the backing has everything" "$work/second" "$work/served"
done

# A server that goes away and comes back.
truncate -s 0 "$work/served"
truncate -s 16M "$work/served"
start behind file "$work/served" || finish
start front "$plugin" backing="$(uri behind)" limit=4M stats="$work/front.stats" || finish
works "an image is written" nbdcopy --flush "$work/first" "$(uri front)"
stop behind KILL
fails "writing fails while the server is away" nbdcopy --synchronous "$work/second" "$(uri front)"
prints "the client is told of an I/O error" 'Input/output error'
prints "the log tells that the connection was lost" 'connection to the backing .* was lost' "$work/front.log"
prints "the log tells why there is no new one" 'backing .* cannot be reached: .*connect' "$work/front.log"
start behind file "$work/served" || finish
works "writing works when it is back" nbdcopy "$work/second" "$(uri front)"
# The first flush may fail, if something had been written when the connection was lost.
timeout 60 nbdcopy --flush "$work/second" "$(uri front)" >"$work/out" 2>&1
works "a flush works" nbdcopy --flush "$work/second" "$(uri front)"
works "it is read" nbdcopy "$(uri front)" "$work/copy"
same "it is identical" "$work/second" "$work/copy"

# A server that was restarted may have lost what was not flushed; a client has to hear of that.
works "units are evicted without a flush" nbdcopy "$work/first" "$(uri front)"
stop behind KILL
start behind file "$work/served" || finish
works "reading connects again at once" nbdcopy "$(uri front)" "$work/copy"
same "what is read is identical" "$work/first" "$work/copy"
fails "the next flush fails" nbdcopy --flush "$work/first" "$(uri front)"
prints "it is the flush that failed" 'flush.*Input/output error'
prints "the log gives the reason" 'lost before what had been written was flushed' "$work/front.log"
works "the flush after that works" nbdcopy --flush "$work/first" "$(uri front)"
stop front
is "nbdkit ends well" 0 "$?"
stop behind
same "the server has everything" "$work/first" "$work/served"

# Nobody but the log can be told what could not be written at the end.
start behind --filter=error file "$work/served" error=EIO error-rate=1 error-file="$work/broken" || finish
start front "$plugin" backing="$(uri behind)" || finish
works "an image is kept in memory" nbdcopy "$work/second" "$(uri front)"
: >"$work/broken"
stop front
prints "the log tells that it is not in the backing" 'not all in the backing' "$work/front.log"
stop behind
finish
