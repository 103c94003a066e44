#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The benchmarks work: on few objects each measures every driver and finds in its objects what it put there, and what
# does not depend on time or machine holds.  `make bench' prints the figures.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
build=${abs_top_builddir:?is the build tree, set by make check}/tests/bench

fail()
{
	echo "selftest: $*" >&2
	cat "$dir/out" >&2
	exit 1
}

# Without shared libraries there are no plugins to measure.
ls "${ZPOOL_PLUGIN_PATH:-/nowhere}"/*.so >/dev/null 2>&1 || exit 77

# run PROGRAM [ARGUMENT...]: it must end well, and print a row for each driver and for glibc.
run()
{
	program=$1
	shift
	"$build/$program" --objects 2000 --rounds 1 --trace "$dir/sizes" "$@" >"$dir/out" || fail "$program failed"
	for plugin in "$ZPOOL_PLUGIN_PATH"/*.so; do
		type=$(basename "$plugin" .so)
		# Filters have no objects of their own to measure.
		case $type in fault|guard|trace) continue ;; esac
		grep -q "^$type  *[0-9.]" "$dir/out" || fail "$program has no figures of $type"
	done
}

# figure SUBJECT COLUMN: from the last table printed; columns have no targets with so few objects.
figure()
{
	awk -v subject="$1" -v column="$2" '$1 == subject { print $(column + 1) }' "$dir/out"
}

# At most, as awk compares numbers.
at_most()
{
	awk -v a="$1" -v b="$2" 'BEGIN { exit !(a != "" && b != "" && a <= b) }'
}

# Sizes as they come from compressing pages, the same for every run.
awk 'BEGIN { x = 1; for (i = 0; i < 500; i++) { x = (x * 16807) % 2147483647; print 64 + x % 3800 } }' >"$dir/sizes"

run density --no-peers --seed 3
cp "$dir/out" "$dir/first"
# fill, churn, drop, purged: freeing three quarters leaves holes, and compaction takes them away.
at_most "$(figure zsmalloc:compact=no 4)" "$(figure zsmalloc:compact=no 3)" ||
	fail "compaction made the footprint larger"
at_most 2 "$(figure zsmalloc:compact=no 3)" || fail "there are no holes to compact"
if [ -z "${SANITIZER_CFLAGS:-}" ]; then
	for subject in zsmalloc zbud; do
		at_most 1 "$(figure $subject 1)" || fail "$subject is smaller than what it holds"
	done
fi
# The objects on a page do not depend on chance beyond the seed.
run density --no-peers --seed 3
for type in zbud zsmalloc; do
	grep "^$type " "$dir/first" | awk '{ print $7 }' >"$dir/a"
	grep "^$type " "$dir/out" | awk '{ print $7 }' >"$dir/b"
	cmp -s "$dir/a" "$dir/b" || fail "$type stores the same draw otherwise"
done

run threads --no-peers
run speed --no-peers
# The mallocs that are installed are measured too, and those that are not are named.
"$build/speed" --objects 2000 --rounds 1 --trace "$dir/sizes" --type libc >"$dir/out" || fail "speed failed"
for peer in glibc jemalloc mimalloc tcmalloc; do
	grep -Eq "^$peer +([0-9]|not installed)" "$dir/out" || fail "speed does not tell of $peer"
done

# JSON says the same as the table, where it is built.
json=$build/../tools/json-get
if [ -x "$json" ]; then
	"$build/density" --no-peers --type zbud --objects 2000 --trace "$dir/sizes" --seed 3 --json >"$dir/json" ||
		fail "density wrote no JSON"
	value=$("$json" tables 0 rows subject=zbud objects_per_page value <"$dir/json") || fail "there is nothing in it"
	awk -v a="$value" -v b="$(awk '$1 == "zbud" { print $7 }' "$dir/first")" \
		'BEGIN { exit !(a - b < 0.006 && b - a < 0.006) }' || fail "JSON has $value objects a page"
fi

# Holes are filled by moving objects, in drivers that do.
"$build/compact" --no-peers --objects 2000 --rounds 1 --trace "$dir/sizes" >"$dir/out" || fail "compact failed"
grep -q "^libc  *does not move objects" "$dir/out" || fail "libc moves objects"
at_most 0.1 "$(figure zsmalloc:compact=no 1)" || fail "nothing was moved"

# The same draw takes the same locks, so that runs can be compared hold by hold.
mkdir "$dir/plugins"
cp "$build/timed/.libs/zsmalloc.so" "$dir/plugins/"
chmod -R go-w "$dir"
ZPOOL_PLUGIN_PATH=$dir/plugins "$build/locks" --no-peers --objects 2000 --rounds 2 --trace "$dir/sizes" >"$dir/out" ||
	fail "locks failed"
! grep -q "did not do the same work" "$dir/out" || fail "two runs of one draw took other locks"
for stage in storing replacing freeing compaction; do
	grep -q "^$stage" "$dir/out" || fail "locks does not tell of $stage"
done
[ "$(grep -c "class->lock  *[1-9]" "$dir/out")" -ge 4 ] || fail "the locks of size classes are not among those timed"
! "$build/locks" --objects 2000 --rounds 1 --trace "$dir/sizes" >"$dir/out" 2>&1 || fail "an ordinary driver was timed"
grep -q "does not time its locks" "$dir/out" || fail "it is not said what an ordinary driver lacks"

# A driver that cannot be had is an error, and so is a trace that is none.
! "$build/speed" --objects 2000 --type nosuch --trace "$dir/sizes" >"$dir/out" 2>&1 || fail "nosuch was measured"
grep -q 'No driver "nosuch"' "$dir/out" || fail "it is not said why nosuch was not measured"
! "$build/density" --trace "$0" >"$dir/out" 2>&1 || fail "a script was taken for a trace"
