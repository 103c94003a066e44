#!/bin/sh
# SPDX-License-Identifier: MIT
#
# parameters.sh - each wrong parameter is refused before the server starts, by a message that names it

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"

# refuses NAME PATTERN ARGUMENT...: nbdkit does not start, and says so.
refuses()
{
    name=$1 pattern=$2
    shift 2
    status=0
    nbdkit_run --unix - "$@" --run 'echo "a client"' >"$work/out" 2>&1 || status=$?
    is "$name: nbdkit fails" 1 "$status"
    prints "$name: the message" "$pattern"
    if grep -q "a client" "$work/out"; then report no "$name" "a client was started"; fi
}

nbdkit_run --dump-plugin "$plugin" >"$work/out" 2>&1
prints "--dump-plugin tells the version" "^zpool_version=$PACKAGE_VERSION\$"
prints "--dump-plugin tells the drivers" '^zpool_drivers=.*zsmalloc'
prints "--dump-plugin tells the filters" '^zpool_filters=.*guard'
prints "--dump-plugin tells the thread model" '^thread_model=parallel$'
nbdkit_run "$plugin" --help >"$work/out" 2>&1
prints "--help tells the parameters" 'compressor=NAME'

refuses "no size" 'the size of the disk is missing' "$plugin"
refuses "a size that is none" 'size=many' "$plugin" many
refuses "a size of nothing" 'at least one byte' "$plugin" 0
refuses "a negative size" 'size=-1' "$plugin" size=-1
refuses "a unit that is no power of two" 'unit=3000 is no power of two from 512 to 65536' "$plugin" 1G unit=3000
refuses "a unit that is too small" 'unit=256 is no power of two' "$plugin" 1G unit=256
refuses "a unit that is too large" 'unit=131072 is no power of two' "$plugin" 1G unit=128K
refuses "a unit of nothing" 'unit=0 is no power of two' "$plugin" 1G unit=0
refuses "an unknown driver" 'nosuch' "$plugin" 1G driver=nosuch
prints "an unknown driver: what there is" 'drivers that are installed: .*zsmalloc'
refuses "an unknown parameter of a driver" 'no parameter "limt"' "$plugin" 1G driver=zbud:limt=1M
refuses "a filter alone" 'guard' "$plugin" 1G driver=guard
refuses "an unknown compressor" 'snappy' "$plugin" 1G compressor=snappy
prints "an unknown compressor: what there is" 'lz4.*zstd'
refuses "a level that is out of range" 'level of zstd' "$plugin" 1G compressor=zstd:99
refuses "a limit that is no size" 'limit=less' "$plugin" 1G limit=less
refuses "a limit that is too small" 'limit' "$plugin" 1G limit=1000
prints "a limit that is too small: what is needed" '[0-9]+ bytes, and its limit is 1000'
refuses "two limits" 'limit' "$plugin" 1G limit=64M driver=zbud:limit=8M
refuses "a file for statistics that cannot be made" 'stats=.*/nosuch/file: No such file' "$plugin" 1G \
    stats="$work/nosuch/file"
refuses "a file without a name" 'stats= needs a path' "$plugin" 1G stats=
refuses "an unknown parameter" 'unknown parameter "colour"; the parameters .* are size, driver' "$plugin" 1G colour=2
finish
