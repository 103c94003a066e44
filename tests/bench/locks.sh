#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The program that times locks works: with the same seed, runs take the same locks, so they can be compared hold by
# hold; and the program refuses a driver that does not time its locks.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
build=${abs_top_builddir:?is the build tree, set by make check}/tests/bench

fail()
{
	echo "locks: $*" >&2
	cat "$dir/out" >&2
	exit 1
}

# Without shared libraries there are no plugins to measure.
ls "${ZPOOL_PLUGIN_PATH:-/nowhere}"/*.so >/dev/null 2>&1 || exit 77

mkdir "$dir/plugins"
cp "$build/timed/.libs/zsmalloc.so" "$dir/plugins/"
chmod -R go-w "$dir"
ZPOOL_PLUGIN_PATH=$dir/plugins "$build/locks" 2000 2 >"$dir/out" 2>&1 || fail "the program failed"
! grep -q "did not do the same work" "$dir/out" || fail "two runs with the same seed took different locks"
for stage in storing replacing freeing compaction; do
	grep -q "^$stage" "$dir/out" || fail "the output has no stage \"$stage\""
done
[ "$(grep -c "class->lock  *[1-9]" "$dir/out")" -ge 4 ] || fail "the locks of size classes were not timed"
! "$build/locks" 2000 1 >"$dir/out" 2>&1 || fail "the program accepted a driver that does not time its locks"
grep -q "does not time its locks" "$dir/out" || fail "the message does not say that the driver does not time its locks"
