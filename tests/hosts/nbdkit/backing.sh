#!/bin/sh
# SPDX-License-Identifier: MIT
#
# backing.sh - a disk in front of a file and of an NBD server: flushed data are in the backing, also after a restart

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin
[ -x "$client" ] || skip "libnbd was not found at configure time (Debian: libnbd-dev)"

seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "seed $seed (set ZPOOL_TEST_SEED to repeat)"

# The image has 16 MiB, of which the limit lets the disk keep a quarter, even if nothing compresses.
dd if=/dev/urandom of="$work/image" bs=1M count=10 2>/dev/null
text_file "$work/text" 4194304
cat "$work/text" >>"$work/image"
truncate -s 16M "$work/image"

# survives NAME BACKING PARAMETER...: checks that an image that was written and flushed is complete after a SIGKILL
survives()
{
    what=$1 backing=$2
    shift 2
    start front "$plugin" backing="$backing" limit=4M stats="$work/front.stats" "$@" || return
    works "$what: an image is written" nbdcopy --flush --connections=8 "$work/image" "$(uri front)"
    stats front
    holds "$what: the disk stays below its limit" "$(stat_of front total_bytes)" -le 4194304
    holds "$what: units were written back" "$(stat_of front written_back)" -gt 512
    is "$what: nothing is dirty after a flush" 0 "$(stat_of front dirty)"
    stop front KILL
    start front "$plugin" backing="$backing" limit=4M "$@" || return
    works "$what: nbdcopy reads the image after a restart" nbdcopy --connections=8 "$(uri front)" "$work/copy"
    same "$what: the copy is identical" "$work/image" "$work/copy"
    works "$what: nbdinfo reads the map" nbdinfo --map "$(uri front)"
    prints "$what: the hole of the image reads as zero" 'zero'
    stop front
    is "$what: nbdkit exits with status 0" 0 "$?"
}

truncate -s 16M "$work/file"
survives "file" "$work/file"
same "file: the backing is a plain image" "$work/image" "$work/file"

rm "$work/file"
survives "created file" "$work/file" 16M create=yes
same "created file: the backing is a plain image" "$work/image" "$work/file"
holds "created file: the backing is sparse" "$(du -k "$work/file" | cut -f1)" -lt 15500

truncate -s 16M "$work/served"
start behind file "$work/served" || finish
survives "server" "$(uri behind)"
stop behind
same "server: the backing is a plain image" "$work/image" "$work/served"

truncate -s 16M "$work/served"
start behind --filter=multi-conn file "$work/served" multi-conn-mode=disable || finish
survives "server of one connection" "$(uri behind)" 16M unit=16K compressor=zstd
stop behind
same "server of one connection: the backing is a plain image" "$work/image" "$work/served"

# The server accepts no requests of 64 KiB, the length in which units are written back.  The units of the second disk
# have that length.
truncate -s 16M "$work/served"
start behind --filter=blocksize-policy file "$work/served" blocksize-preferred=4096 blocksize-maximum=32768 \
    blocksize-error-policy=error || finish
survives "server of short requests" "$(uri behind)"
same "server of short requests: the backing is a plain image" "$work/image" "$work/served"
start front "$plugin" backing="$(uri behind)" unit=64K || finish
works "server of short requests: long units are written" nbdcopy --allocated --flush "$work/text" "$(uri front)"
stop front
start front "$plugin" backing="$(uri behind)" unit=64K || finish
works "server of short requests: long units are read" nbdcopy "$(uri front)" "$work/copy"
stop front
stop behind
truncate -s 4M "$work/copy"
same "server of short requests: the long units are identical" "$work/text" "$work/copy"

# nbdkit writes unflushed data when it exits normally, and trimming the disk makes holes in the backing.
truncate -s 16M "$work/file"
start front "$plugin" backing="$work/file" || finish
works "nbdcopy writes an image without a flush" nbdcopy "$work/image" "$(uri front)"
stop front
same "nbdkit writes the image to the backing on SIGTERM" "$work/image" "$work/file"
truncate -s 16M "$work/empty"
start front "$plugin" backing="$work/file" || finish
works "nbdcopy trims the disk" nbdcopy --flush "$work/empty" "$(uri front)"
stop front
same "the backing is zero" "$work/empty" "$work/file"
holds "the backing takes no space" "$(du -k "$work/file" | cut -f1)" -lt 1024

# This server ends when its last client leaves.
truncate -s 0 "$work/file"
truncate -s 16M "$work/file"
start behind --filter=exitlast file "$work/file" || finish
start front "$plugin" backing="$(uri behind)" || finish
works "server of one client: nbdcopy writes an image" nbdcopy --flush "$work/image" "$(uri front)"
stop front
stop behind
same "server of one client: the backing is a plain image" "$work/image" "$work/file"

# Only root can reach this server, whose socket is in a directory of mode 0700.  The user "nobody" could not replace a lost
# connection.
if [ "$(id -u)" -eq 0 ] && id nobody >/dev/null 2>&1; then
    truncate -s 16M "$work/file"
    start behind file "$work/file" || finish
    nbdkit_run --foreground -u nobody --unix "$work/other.socket" "$plugin" backing="$(uri behind)" >"$work/out" 2>&1
    is "other user: nbdkit does not start" 1 "$?"
    prints "other user: a server that the user cannot reach is refused" 'cannot be reached by the user .*Permission denied'
    stop behind
else
    echo "skipped: a backing that nbdkit's user cannot reach, because only root can change the user"
fi

# In the background, nbdkit leaves the directory in which it was started, and keeps the connection to such a server.
# The socket need not be the first parameter of the URI.
directory="$work/a & b; 100%"
mkdir "$directory"
truncate -s 0 "$work/file"
truncate -s 16M "$work/file"
start behind --filter=exitlast file "$work/file" || finish
mv "$work/behind.socket" "$directory/its socket"
servers="$servers background"
works "background: nbdkit starts in front of a socket with a relative path" env --chdir="$directory" \
    ${preload:+LD_PRELOAD="$preload"} nbdkit --unix "$work/background.socket" --pidfile "$work/background.pid" "$plugin" \
    backing="nbd+unix:///?tls-verify-peer=true&socket=its%20socket"
works "background: nbdcopy writes an image" nbdcopy --flush "$work/image" "$(uri background)"
[ ! -s "$work/background.pid" ] || kill "$(cat "$work/background.pid")"
stop behind
same "background: the backing is a plain image" "$work/image" "$work/file"

# A block device exists before, and cannot be extended.
truncate -s 16M "$work/device"
if device=$(losetup --find --show "$work/device" 2>/dev/null) && [ -w "$device" ]; then
    trap 'losetup --detach "$device"; clean_up' EXIT
    if start front "$plugin" 16M backing="$device" create=yes; then
        works "device: nbdcopy writes an image" nbdcopy --flush "$work/image" "$(uri front)"
        stop front
        is "device: nbdkit exits with status 0" 0 "$?"
        same "device: it has the image" "$work/image" "$device"
    fi
    nbdkit_run --unix - "$plugin" 32M backing="$device" create=yes --run true >"$work/out" 2>&1
    prints "device: a larger disk is refused" 'has 16777216 bytes, .* a disk of 33554432$'
    trap clean_up EXIT
    losetup --detach "$device"
else
    echo "skipped: a block device as the backing, because losetup cannot be used here"
fi

# Requests have any offset and length, while most units are evicted.
for what in model threads; do
    truncate -s 0 "$work/file"
    start front "$plugin" 4M backing="$work/file" create=yes limit=1M || finish
    works "requests match the model, with a backing: $what" "$client" "$what" "$(uri front)" "$seed"
    stop front
done

# A prefetch loads units from the backing.
start front "$plugin" backing="$work/file" stats="$work/front.stats" || finish
works "the client prefetches a range" "$client" prefetch "$(uri front)"
stats front
holds "the disk loaded units" "$(stat_of front loaded)" -gt 0
stop front
finish
