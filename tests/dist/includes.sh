#!/bin/sh
# SPDX-License-Identifier: MIT
#
# includes.sh - includes go downward only, as the table in tests/dist/rooms allows
#
# A driver must not include another driver's headers either. The script runs in the top build directory.

set -u
. "${srcdir:?}/tests/install/common.sh"

make_scratch

# The top directories that the table of rooms has.
roots=$(sed -n 's|^\([a-z][a-z/]*\):.*|\1|p' "$srcdir/tests/dist/rooms" | sed 's|/.*||; s|^public$|libzpool|' | LC_ALL=C sort -u)

# violations DIR - prints the includes of the tree DIR that are not allowed
violations() {
    (
        cd -- "$1" || exit
        # shellcheck disable=SC2086 # one word a directory
        find $roots -name '*.[ch]' -print | LC_ALL=C sort |
            xargs awk -f tests/dist/includes.awk tests/dist/rooms
    )
}

found=$(violations "$srcdir") || fail "these includes go upward:
$found"

# Every directory with sources must be in the table, except directories of builds.
for file in "$srcdir"/*/*.[ch]; do
    dir=${file%/*}
    name=${dir##*/}
    if [ ! -e "$file" ] || [ -e "$dir/config.status" ]; then
        continue
    fi
    printf '%s\n' "$roots" | grep -qx -- "$name" || fail "$name/ is missing in tests/dist/rooms"
done

# The following tests the check itself: it must find each of these includes in a tree that has no other fault.
tree=$scratch/tree
for room in libzpool/base libzpool/core libzpool/loader libzpool/support plugins/zbud plugins/zblock store hosts/nbdkit \
    conformance tools tests/dist; do
    mkdir -p "$tree/$room"
done
mkdir -p "$tree/tests/unit"
cp "$srcdir/tests/dist/includes.awk" "$srcdir/tests/dist/rooms" "$tree/tests/dist/"
for header in libzpool/zpool.h libzpool/base/error.h libzpool/core/pool.h libzpool/loader/loader.h \
    libzpool/loader/module.h libzpool/support/list.h plugins/zbud/zbud.h store/index.h store/zpool-store.h \
    conformance/case.h tools/table.h tests/unit/run.h; do
    : >"$tree/$header"
done
echo '#include "zpool.h"' >"$tree/tests/unit/allowed.c"
violations "$tree" >"$scratch/out" || fail "an allowed include was refused: $(cat "$scratch/out")"

# refused FILE LINE - the check must refuse LINE in FILE
refused() {
    echo "$2" >"$tree/$1"
    ! violations "$tree" >"$scratch/out" || fail "the check allows $1 to include $2"
    grep -q "^$1:1: " "$scratch/out" || fail "the message does not name $1: $(cat "$scratch/out")"
    rm "$tree/$1"
}

refused libzpool/base/up.c '#include "loader/loader.h"'
refused libzpool/base/up.h '#  include "../core/pool.h"'
refused libzpool/loader/up.c '#include "core/pool.h"'
refused libzpool/support/up.c '#include "base/error.h"'
refused plugins/zbud/up.c '#include "core/pool.h"'
refused plugins/zblock/across.c '#include "../zbud/zbud.h"'
refused tools/up.c '#include "base/error.h"'
refused tools/up.c '#include "../tests/unit/run.h"'
refused tools/up.c '#include "../plugins/zbud/zbud.h"'
refused tools/up.c '#include "index.h"'
refused store/up.c '#include "list.h"'
refused store/up.c '#include "../tools/table.h"'
refused libzpool/core/up.c '#include "zpool-store.h"'
refused hosts/nbdkit/up.c '#include "index.h"'
refused hosts/nbdkit/up.c '#include "list.h"'
refused conformance/up.c '#include "list.h"'
refused conformance/up.c '#include "../tools/table.h"'
refused libzpool/support/up.c '#include "../../conformance/case.h"'
refused libzpool/core/up.c '#include <dlfcn.h>'
refused libzpool/core/up.c '#include "loader/module.h"'
finish
