#!/bin/sh
# SPDX-License-Identifier: MIT
#
# faults.sh - if the backing fails or disconnects, the client gets an error, no data are lost, and writes work again
# later
#
# Copies that must fail send one request at a time, because nbdkit before 1.34 may fail an assertion when a client
# disconnects while other replies are pending.

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin
nbdkit --filter=error null --dump-plugin >/dev/null 2>&1 || skip "nbdkit has no error filter"

dd if=/dev/urandom of="$work/first" bs=1M count=16 2>/dev/null
dd if=/dev/urandom of="$work/second" bs=1M count=16 2>/dev/null

# The backing fails as long as the file $work/broken exists.
for error in ENOSPC EIO; do
    truncate -s 0 "$work/served"
    truncate -s 16M "$work/served"
    start behind --filter=error file "$work/served" error-pwrite=$error error-zero=$error error-pwrite-rate=1 \
        error-zero-rate=1 error-file="$work/broken" || finish
    start front "$plugin" backing="$(uri behind)" limit=4M stats="$work/front.stats" || finish
    works "$error: nbdcopy writes an image" nbdcopy --flush "$work/first" "$(uri front)"
    : >"$work/broken"
    works "$error: nbdcopy still reads the image" nbdcopy "$(uri front)" "$work/copy"
    same "$error: the copy is identical" "$work/first" "$work/copy"
    fails "$error: writing a second image fails" nbdcopy --synchronous "$work/second" "$(uri front)"
    case $error in
    ENOSPC) prints "$error: the client gets the error" 'No space left on device' ;;
    EIO) prints "$error: the client gets the error" 'Input/output error' ;;
    esac
    stats front
    # Values of writes that the backing broke off stay in memory: those of 16 writes, and one of the current write.
    holds "$error: the disk stays close to its limit" "$(stat_of front total_bytes)" -le $((4194304 + 17 * 4096))
    holds "$error: the statistics count write errors" "$(stat_of front write_errors)" -gt 0
    works "$error: nbdcopy reads everything while the backing is broken" nbdcopy "$(uri front)" "$work/mixture"
    rm "$work/broken"
    works "$error: nbdcopy reads everything when the backing works again" nbdcopy "$(uri front)" "$work/copy"
    same "$error: no unit was lost" "$work/mixture" "$work/copy"
    works "$error: writes work again" nbdcopy --flush "$work/second" "$(uri front)"
    stop front
    is "$error: nbdkit exits with status 0" 0 "$?"
    stop behind
    same "$error: the backing has everything" "$work/second" "$work/served"
done

# The server of the backing stops and is started again.
truncate -s 0 "$work/served"
truncate -s 16M "$work/served"
start behind file "$work/served" || finish
start front "$plugin" backing="$(uri behind)" limit=4M stats="$work/front.stats" || finish
works "nbdcopy writes an image" nbdcopy --flush "$work/first" "$(uri front)"
stop behind KILL
fails "writing fails while the server is down" nbdcopy --synchronous "$work/second" "$(uri front)"
prints "the client gets an I/O error" 'Input/output error'
prints "the log reports that the connection was lost" 'connection to the backing .* was lost' "$work/front.log"
prints "the log reports why the plugin cannot connect again" 'backing .* cannot be reached: .*connect' "$work/front.log"
start behind file "$work/served" || finish
works "writing works when the server is up again" nbdcopy "$work/second" "$(uri front)"
# The first flush may fail if there were unflushed writes when the connection was lost.
timeout 60 nbdcopy --flush "$work/second" "$(uri front)" >"$work/out" 2>&1
works "a flush works" nbdcopy --flush "$work/second" "$(uri front)"
works "it is read" nbdcopy "$(uri front)" "$work/copy"
same "the second copy is identical" "$work/second" "$work/copy"

# A server that was restarted may have lost unflushed data, so the client must get an error.
works "units are evicted without a flush" nbdcopy "$work/first" "$(uri front)"
stop behind KILL
start behind file "$work/served" || finish
works "reading connects again at once" nbdcopy "$(uri front)" "$work/copy"
same "the data that were read are identical" "$work/first" "$work/copy"
fails "the next flush fails" nbdcopy --flush "$work/first" "$(uri front)"
prints "the error comes from the flush" 'flush.*Input/output error'
prints "the log gives the reason" 'lost before all written data were flushed' "$work/front.log"
works "the flush after that works" nbdcopy --flush "$work/first" "$(uri front)"
stop front
is "nbdkit exits with status 0" 0 "$?"
stop behind
same "the server has everything" "$work/first" "$work/served"

# The server comes back with a smaller disk, which is not the same disk.
start behind file "$work/served" || finish
start front "$plugin" backing="$(uri behind)" || finish
stop behind KILL
truncate -s 8M "$work/served"
start behind file "$work/served" || finish
fails "reading fails if the server came back with a smaller disk" nbdcopy "$(uri front)" "$work/copy"
prints "the log gives the reason" 'the server came back with a smaller disk' "$work/front.log"
stop front
stop behind
truncate -s 16M "$work/served"

# The client gets the backing's own error if the protocol has it.
head -c 65536 "$work/first" >"$work/little"
for error in EPERM ESHUTDOWN; do
    start behind --filter=error file "$work/served" error-pwrite=$error error-pwrite-rate=1 || finish
    start front "$plugin" backing="$(uri behind)" || finish
    fails "$error: a flush fails" nbdcopy --flush "$work/little" "$(uri front)"
    case $error in
    EPERM) prints "$error: the client gets the error" 'Operation not permitted' ;;
    ESHUTDOWN) prints "$error: the client gets the error" 'Cannot send after transport endpoint shutdown' ;;
    esac
    stop front
    stop behind
done

# No client is connected at exit, so only the log can report unwritten data.
start behind --filter=error file "$work/served" error=EIO error-rate=1 error-file="$work/broken" || finish
start front "$plugin" backing="$(uri behind)" || finish
works "nbdcopy writes an image that stays in memory" nbdcopy "$work/second" "$(uri front)"
: >"$work/broken"
stop front
prints "the log reports that data are not in the backing" 'are not in the backing' "$work/front.log"
stop behind
finish
