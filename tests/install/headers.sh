#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers.sh - the public headers compile alone, in any order and twice, as C99 and as C11, without a warning

set -u
. "${srcdir:?}/tests/install/common.sh"

include_dir=$srcdir/libzpool
make_scratch

# compile FILE OPTION...
compile() {
    compiled=$1
    shift
    run_cc "$@" -Wall -Wextra -Wpedantic -Werror -I"$include_dir" -fsyntax-only -x c "$compiled" ||
        fail "$(basename "$compiled") with $*"
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
done
finish
