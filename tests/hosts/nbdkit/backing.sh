#!/bin/sh
# SPDX-License-Identifier: MIT
#
# backing.sh - a disk in front of a file and in front of an NBD server: what was flushed is there, also after a restart

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin
[ -x "$client" ] || skip "libnbd was not found at configure time (Debian: libnbd-dev)"

seed=${ZPOOL_TEST_SEED:-$(date +%s)}
echo "seed $seed (set ZPOOL_TEST_SEED to repeat)"

# An image of 16 MiB of which the disk may keep a quarter, even if nothing shrinks.
dd if=/dev/urandom of="$work/image" bs=1M count=10 2>/dev/null
text_file "$work/text" 4194304
cat "$work/text" >>"$work/image"
truncate -s 16M "$work/image"

# survives NAME BACKING PARAMETER...: the image is written, flushed and there after a SIGKILL
survives()
{
    what=$1 backing=$2
    shift 2
    start front "$plugin" backing="$backing" limit=4M stats="$work/front.stats" "$@" || return
    works "$what: an image is written" nbdcopy --flush --connections=8 "$work/image" "$(uri front)"
    stats front
    holds "$what: the limit is kept" "$(stat_of front total_bytes)" -le 4194304
    holds "$what: units were written back" "$(stat_of front written_back)" -gt 512
    is "$what: nothing is dirty after a flush" 0 "$(stat_of front dirty)"
    stop front KILL
    start front "$plugin" backing="$backing" limit=4M "$@" || return
    works "$what: it is read after a restart" nbdcopy --connections=8 "$(uri front)" "$work/copy"
    same "$what: it is identical" "$work/image" "$work/copy"
    works "$what: the map is told" nbdinfo --map "$(uri front)"
    prints "$what: the hole of the image is one" 'zero'
    stop front
    is "$what: nbdkit ends well" 0 "$?"
}

truncate -s 16M "$work/file"
survives "file" "$work/file"
same "file: it is a plain image" "$work/image" "$work/file"

rm "$work/file"
survives "created file" "$work/file" 16M create=yes
same "created file: it is a plain image" "$work/image" "$work/file"
holds "created file: it is sparse" "$(du -k "$work/file" | cut -f1)" -lt 15500

truncate -s 16M "$work/served"
start behind file "$work/served" || finish
survives "server" "$(uri behind)"
stop behind
same "server: it is a plain image" "$work/image" "$work/served"

truncate -s 16M "$work/served"
start behind --filter=multi-conn file "$work/served" multi-conn-mode=disable || finish
survives "server of one connection" "$(uri behind)" 16M unit=16K compressor=zstd
stop behind
same "server of one connection: it is a plain image" "$work/image" "$work/served"

# What was not flushed is written when nbdkit ends as it should, and trimming makes holes.
truncate -s 16M "$work/file"
start front "$plugin" backing="$work/file" || finish
works "an image is written without a flush" nbdcopy "$work/image" "$(uri front)"
stop front
same "SIGTERM writes it to the backing" "$work/image" "$work/file"
truncate -s 16M "$work/empty"
start front "$plugin" backing="$work/file" || finish
works "the disk is trimmed" nbdcopy --flush "$work/empty" "$(uri front)"
stop front
same "the backing is zero" "$work/empty" "$work/file"
holds "the backing takes no space" "$(du -k "$work/file" | cut -f1)" -lt 1024

# Requests of any offset and length, with most units evicted.
for what in model threads; do
    truncate -s 0 "$work/file"
    start front "$plugin" 4M backing="$work/file" create=yes limit=1M || finish
    works "requests match the model, with a backing: $what" "$client" "$what" "$(uri front)" "$seed"
    stop front
done

# Prefetching loads.
start front "$plugin" backing="$work/file" stats="$work/front.stats" || finish
works "a range is prefetched" "$client" prefetch "$(uri front)"
stats front
holds "it was loaded" "$(stat_of front loaded)" -gt 0
stop front
finish
