#!/bin/sh
# SPDX-License-Identifier: MIT
#
# locks.sh - the table of locks in doc/locking.md has every rank, in the order of the enumerations
#
# Every lock of the support library and of the drivers must have a rank too.  The script runs in the top build
# directory.

set -u
. "${srcdir:?}/tests/install/common.sh"

make_scratch

# A rank is an enumerator *_RANK or *_RANK_*.  ZP_RANK_DRIVER is where the drivers' begin, and no lock's.
ranks_in() {
    grep -oE '\b[A-Z0-9]+_RANK(_[A-Z0-9]+)*\b' "$@" | grep -vx 'ZP_RANK_DRIVER'
}

# The enumerations, in the order of the files: each lists its ranks from the first to the last lock.
for file in "$srcdir"/plugins/*/*.[ch] "$srcdir"/libzpool/support/*.h; do
    sed -n '/^enum [a-z0-9_]*rank {/,/};/p' "$file"
done >"$scratch/enumerations"
ranks_in "$scratch/enumerations" >"$scratch/ranks"
# shellcheck disable=SC2016 # the quotes of Markdown
sed -n 's/^| `\([A-Z0-9_]*RANK[A-Z0-9_]*\)` |.*/\1/p' "$srcdir/doc/locking.md" >"$scratch/rows"
[ -s "$scratch/ranks" ] || fail "no rank was found in the sources"

# The rows of each driver, and of the support library, have the order of its enumeration.
sed 's/_RANK.*//' "$scratch/ranks" | LC_ALL=C sort -u >"$scratch/owners"
while read -r owner; do
    grep "^${owner}_RANK" "$scratch/ranks" >"$scratch/expected"
    grep "^${owner}_RANK" "$scratch/rows" >"$scratch/found"
    cmp -s "$scratch/expected" "$scratch/found" ||
        fail "doc/locking.md lists the locks of $owner in another order than its enumeration: $(
            diff "$scratch/expected" "$scratch/found")"
done <"$scratch/owners"
LC_ALL=C sort "$scratch/ranks" >"$scratch/expected"
LC_ALL=C sort "$scratch/rows" >"$scratch/found"
cmp -s "$scratch/expected" "$scratch/found" ||
    fail "doc/locking.md and the enumerations have different ranks: $(diff "$scratch/expected" "$scratch/found")"

# The locks of drivers come before those of the support library.
sed -n '/^ZP_RANK/,$p' "$scratch/rows" | grep -v '^ZP_RANK' && fail "doc/locking.md lists these below a ZP_RANK_ lock"

# Each rank must belong to a lock.
while read -r rank; do
    grep -rqE "zp_lock_rank\\(.*\\b$rank\\b" "$srcdir/plugins" "$srcdir/libzpool/support" || fail "no lock has $rank"
done <"$scratch/ranks"

# Each directory must give ranks to as many locks as its structures have.
for dir in "$srcdir"/plugins/*/ "$srcdir/libzpool/support/"; do
    locks=$(cat "$dir"*.[ch] | grep -cE '^[[:space:]]+(_Alignas\([0-9]+\) )?struct zp_lock [a-z_]+(\[[A-Z_]+\])?;')
    ranked=$(cat "$dir"*.[ch] | grep -cE '^[[:space:]]+zp_lock_rank\(')
    [ "$locks" -eq "$ranked" ] || fail "$dir has $locks locks, of which $ranked have a rank"
done
finish
