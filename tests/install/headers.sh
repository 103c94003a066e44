#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh - the public headers compile alone, in any order and twice, as C99 and as C11, without a warning; the
# headers of the support library each compile alone as C11

set -u
. "${srcdir:?}/tests/install/common.sh"

include_dir=$srcdir/libzpool
make_scratch
# The headers are in this directory after they are installed.
ln -s "$(cd "$include_dir" && pwd)/support" "$scratch/zpool-support"

# compile FILE OPTION...
compile() {
    compiled=$1
    shift
    run_cc "$@" -Wall -Wextra -Wpedantic -Werror -I"$include_dir" -I"$scratch" -fsyntax-only -x c "$compiled" ||
        fail "$(basename "$compiled") does not compile with $*"
}

echo '#include <zpool.h>' >"$scratch/caller"
echo '#include <zpool-driver.h>' >"$scratch/driver"
printf '#include <%s>\n' zpool.h zpool-driver.h zpool.h zpool-driver.h >"$scratch/both"
printf '#include <%s>\n' zpool-driver.h zpool.h >"$scratch/reverse"
cp "$srcdir/tests/install/kernel_caller.c" "$scratch/kernel_caller"
cp "$srcdir/tests/install/bump.c" "$scratch/plugin"

for std in c99 c11 gnu11; do
    for file in caller driver both reverse plugin; do
        compile "$scratch/$file" -std=$std
        compile "$scratch/$file" -std=$std -DZPOOL_KERNEL_NAMES
    done
    compile "$scratch/kernel_caller" -std=$std
    compile "$scratch/kernel_caller" -std=$std -DZPOOL_KERNEL_NAMES=400
    compile "$scratch/both" -std=$std -DZPOOL_KERNEL_NAMES=605
done

headers=$(sed -n 's|.*libzpool/support/\([a-z_]*\.h\).*|\1|p' "$srcdir/libzpool/support/local.mk" | grep -v _internal | sort -u)
[ -n "$headers" ] || fail "no header of the support library was found"
for header in $headers; do
    # A header may only define macros, and C demands a declaration.
    printf '#include <zpool-support/%s>\nextern int declared;\n' "$header" >"$scratch/support"
    compile "$scratch/support" -std=c11
    compile "$scratch/support" -std=gnu11 -DZPOOL_KERNEL_NAMES
done
finish
