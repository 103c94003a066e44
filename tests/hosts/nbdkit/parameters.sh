#!/bin/sh
# SPDX-License-Identifier: MIT
#
# parameters.sh - nbdkit refuses each wrong parameter before it starts, with a message that names the parameter

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"

# nbdkit with the address sanitizer's library hangs in a destructor of libp11-kit if it has printed the text of an errno,
# with its own plugins as well: nbdkit file /nosuch.  The C library's lock of the locale is damaged before main() runs.
[ -z "$preload" ] || nbdkit_seconds=15

# refuses NAME PATTERN ARGUMENT...: checks that nbdkit does not start, and that its message matches the pattern.
refuses()
{
    name=$1 pattern=$2
    shift 2
    status=0
    nbdkit_run --unix - "$@" --run 'echo "a client"' >"$work/out" 2>&1 || status=$?
    [ -z "$preload" ] || [ "$status" != 124 ] || status=1
    is "$name: nbdkit fails" 1 "$status"
    prints "$name: the message names the error" "$pattern"
    if grep -q "a client" "$work/out"; then report no "$name" "a client was started"; fi
}

nbdkit_run --dump-plugin "$plugin" >"$work/out" 2>&1
prints "--dump-plugin prints the version" "^zpool_version=$PACKAGE_VERSION\$"
prints "--dump-plugin prints the drivers" '^zpool_drivers=.*zsmalloc'
prints "--dump-plugin prints the filters" '^zpool_filters=.*guard'
prints "--dump-plugin prints the thread model" '^thread_model=parallel$'
nbdkit_run "$plugin" --help >"$work/out" 2>&1
prints "--help describes the parameters" 'compressor=NAME'

refuses "no size" 'the size of the disk is missing' "$plugin"
refuses "a size that is not a number" 'size=many' "$plugin" many
refuses "a size of 0" 'at least one byte' "$plugin" 0
refuses "a negative size" 'size=-1' "$plugin" size=-1
refuses "a unit that is not a power of two" 'unit=3000 is not a power of two from 512 to 65536' "$plugin" 1G unit=3000
refuses "a unit that is too small" 'unit=256 is not a power of two' "$plugin" 1G unit=256
refuses "a unit that is too large" 'unit=131072 is not a power of two' "$plugin" 1G unit=128K
refuses "a unit of 0" 'unit=0 is not a power of two' "$plugin" 1G unit=0
refuses "an unknown driver" 'nosuch' "$plugin" 1G driver=nosuch
prints "an unknown driver: the message lists the drivers" 'drivers that are installed: .*zsmalloc'
refuses "an unknown parameter of a driver" 'no parameter "limt"' "$plugin" 1G driver=zbud:limt=1M
refuses "a filter alone" 'guard' "$plugin" 1G driver=guard
refuses "an unknown compressor" 'snappy' "$plugin" 1G compressor=snappy
prints "an unknown compressor: the message lists the compressors" 'lz4.*zstd'
refuses "a level that is out of range" 'level of zstd' "$plugin" 1G compressor=zstd:99
refuses "a dictionary that does not exist" 'dictionary=.*/nosuch: No such file' "$plugin" 1G compressor=zstd \
    dictionary="$work/nosuch"
: >"$work/nothing"
refuses "an empty dictionary" 'empty dictionary' "$plugin" 1G compressor=zstd dictionary="$work/nothing"
head -c 2000000 /dev/zero >"$work/long"
refuses "a dictionary that is too long" 'long names a file of more than 1 MiB' "$plugin" 1G compressor=zstd dictionary="$work/long"
printf '\067\244\060\354 damaged from here on' >"$work/damaged"
refuses "a dictionary that is damaged" 'is damaged' "$plugin" 1G compressor=zstd dictionary="$work/damaged"
refuses "a dictionary for another compressor" 'Only zstd uses dictionaries' "$plugin" 1G dictionary="$work/damaged"
refuses "a training for another compressor" 'Only zstd uses dictionaries' "$plugin" 1G train=100
refuses "a training from no units" 'train=0 is wrong' "$plugin" 1G compressor=zstd train=0
refuses "a number of units that is none" 'train' "$plugin" 1G compressor=zstd train=some
refuses "a limit that is not a size" 'limit=less' "$plugin" 1G limit=less
refuses "a limit that is too small" 'limit' "$plugin" 1G limit=1000
prints "a limit that is too small: the message gives the smallest one" 'needs [0-9]+ bytes.* not 1000'
refuses "two limits" 'limit' "$plugin" 1G limit=64M driver=zbud:limit=8M
refuses "a file for statistics that cannot be made" 'stats=.*/nosuch/file: No such file' "$plugin" 1G \
    stats="$work/nosuch/file"
refuses "a file without a name" 'stats= needs a path' "$plugin" 1G stats=

# The remaining cases are about backings.
truncate -s 1M "$work/small"
truncate -s 1000000 "$work/odd"
: >"$work/empty"
mkdir "$work/directory"
mkfifo "$work/fifo"
refuses "a file that does not exist" 'nosuch does not exist; create=yes creates it' "$plugin" 1M backing="$work/nosuch"
refuses "a directory" 'directory is neither a regular file nor a block device' "$plugin" 1M backing="$work/directory"
refuses "a FIFO" 'fifo is neither a regular file nor a block device' "$plugin" 1M backing="$work/fifo"
refuses "a backing below a file" 'small/below cannot be opened for reading and writing: Not a directory' "$plugin" 1M \
    backing="$work/small/below"
refuses "a backing that is too small" 'small has 1048576 bytes, .* a disk of 2097152; create=yes extends it' "$plugin" 2M \
    backing="$work/small"
is "the small backing keeps its size" 1048576 "$(wc -c <"$work/small")"
refuses "an empty backing" 'empty is empty' "$plugin" backing="$work/empty"
refuses "a backing that ends inside a unit" '1000000 is not a multiple of 4096' "$plugin" backing="$work/odd"
refuses "a size that ends inside a unit" '1000001 is not a multiple of 4096' "$plugin" 1000001 backing="$work/small"
refuses "create without a size" 'size of the disk is missing' "$plugin" backing="$work/nosuch" create=yes
refuses "create without a backing" 'create=yes needs a backing' "$plugin" 1M create=yes
refuses "create for a server" 'create=yes needs a backing that is a file' "$plugin" 1M backing=nbd://localhost create=yes
refuses "create without yes or no" 'create=maybe is neither yes nor no' "$plugin" 1M backing="$work/small" create=maybe
refuses "a number of 0 connections" 'connections=0 is not a number from 1 to 64' "$plugin" 1M backing="$work/small" connections=0
refuses "a number of connections to a file" 'connections=2 needs a backing that is an NBD server' "$plugin" 1M \
    backing="$work/small" connections=2
refuses "a number of connections without a backing" 'connections=2 needs a backing' "$plugin" 1M connections=2
refuses "create with another wrong parameter" 'nosuch' "$plugin" 1M backing="$work/created" create=yes driver=nosuch
is "nbdkit does not create the file if another parameter is wrong" no "$([ ! -e "$work/created" ] || echo yes; [ -e "$work/created" ] || echo no)"
chmod 444 "$work/small"
if ! [ -w "$work/small" ]; then
    refuses "a file that is read-only" 'small cannot be opened for reading and writing: Permission denied' "$plugin" 1M \
        backing="$work/small"
fi
chmod 644 "$work/small"
start first "$plugin" backing="$work/small" && refuses "a file that another server uses" 'small is locked' "$plugin" \
    1M backing="$work/small"
stop first

if nbdkit_run "$plugin" --dump-plugin | grep -q '^zpool_nbd_backing=yes'; then
    refuses "a server that does not exist" 'nosuch.socket cannot be reached: .*No such file' "$plugin" 1M \
        backing="nbd+unix:///?socket=$work/nosuch.socket"
    refuses "an invalid URI" 'nbd://:-1:/ cannot be reached' "$plugin" 1M backing="nbd://:-1:/"
    start behind file "$work/small" && refuses "a server's disk that is too small" 'has 1048576 bytes, .* 2097152$' \
        "$plugin" 2M backing="$(uri behind)"
    stop behind
    start behind --readonly file "$work/small" && refuses "a server that is read-only" 'is served read-only' \
        "$plugin" 1M backing="$(uri behind)"
    stop behind
    start behind --filter=blocksize-policy memory 1M blocksize-minimum=8192 \
        blocksize-preferred=8192 blocksize-maximum=32M &&
        refuses "a server with larger blocks" 'blocks of 8192 bytes: give unit=8192' "$plugin" backing="$(uri behind)"
    stop behind
else
    refuses "a server as the backing in a build without libnbd" 'was built without libnbd' "$plugin" 1M backing=nbd://localhost
fi
refuses "an unknown parameter" 'unknown parameter "colour"; the parameters .* are size, driver' "$plugin" 1G colour=2
finish
