#!/bin/sh
# SPDX-License-Identifier: MIT
#
# full_disk.sh - on a full disk, zpoolctl fails with a message, keeps the old file, and leaves nothing half written
#
# The disk is a small file system in memory, mounted in a mount namespace that ends with this script.

# shellcheck source=tests/hostile/private_mounts.sh
. "${srcdir:-.}/tests/hostile/private_mounts.sh"
needs_children
use_drivers zbud trace
full=$work/full
mount_memory 64k "$full"
text_file "$work/input" 40000

# fill: leaves no space on the disk. empty: makes space again.
fill()
{
    cat /dev/zero >"$full/ballast" 2>/dev/null || :
}
empty()
{
    rm -f "$full/ballast"
}
# only_old NAME: the disk has the old file and the ballast, and nothing else
only_old()
{
    is "$1: the old file has not changed" old "$(cat "$full/old")"
    is "$1: no other file is left" "ballast old" "$(cd "$full" && echo *)"
}

printf 'old\n' >"$full/old"
fill
run store -t zbud --sizes "$full/old" "$work/input"
exits "sizes over an old file" 1
warns "the message has the reason" 'old: cannot be written: No space left on device'
only_old "sizes over an old file"
run store -t zbud --sizes "$full/new" "$work/input"
exits "sizes in a new file" 1
warns "the message has the reason" 'new: cannot be written: No space left on device'
only_old "sizes in a new file"

run check --junit "$full/old" --case driver_is_found_by_its_name zbud
exits "a report over an old file" 1
warns "the message has the reason" 'old: cannot be written: No space left on device'
only_old "a report over an old file"
run check --junit "$full/new" --case driver_is_found_by_its_name zbud
exits "a report in a new file" 1
only_old "a report in a new file"

run new --dir "$full/project" mine
exits "a project" 1
warns "the message has the reason" 'cannot .*No space left on device; (nothing|everything written so far) was'
only_old "a project"

run store -t "trace:file=$full/trace+zbud" "$work/input"
exits "a trace" 1
warns "the message has the reason" 'full/trace cannot be written: No space left on device'
only_old "a trace"

status=0
"$zpoolctl" info zbud >"$full/old.out" 2>"$work/err" </dev/null || status=$?
exits "standard output" 1
warns "the message has the reason" 'cannot write to standard output: No space left on device'
rm "$full/old.out"

usual=$TMPDIR
TMPDIR=$full
run store -t zbud "$work/input"
TMPDIR=$usual
exits "temporary files" 1
warns "the message has the reason" 'cannot write a temporary file in .*full: No space left on device'
only_old "temporary files"

# The disk has room for the input, but not for the units that are evicted as well.
mount_memory 1m "$work/large"
random_file "$work/noise" 700000
TMPDIR=$work/large
run store -t zbud --limit 64K "$work/noise"
TMPDIR=$usual
exits "the file of evicted units" 1
prints "the report has the reason" '^zbud .* failed: evicting: No space left on device'
is "the file of evicted units: no file is left" "" "$(ls -A "$work/large")"

ZPOOL_STATS=$full/stats
export ZPOOL_STATS
run store -t zbud "$work/input"
unset ZPOOL_STATS
exits "statistics that cannot be written" 1
warns "the message has the reason" 'ZPOOL_STATS: .*No space left on device'
is "no part of a line is left" "" "$(cat "$full/stats")"
rm "$full/stats"

empty
run store -t zbud --sizes "$full/old" "$work/input"
exits "with space, sizes are written" 0
run new --dir "$full/project" mine
exits "with space, a project is written" 0
finish
