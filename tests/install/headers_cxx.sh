#!/bin/sh
# SPDX-License-Identifier: MIT
#
# headers_cxx.sh - the public headers compile as C++11 without a warning

set -u
. "${srcdir:?}/tests/install/common.sh"

# shellcheck disable=SC2086 # it may be several words
command -v ${CXX:-c++} >/dev/null || skip "no C++ compiler"
include_dir=$srcdir/libzpool
make_scratch

echo '#include <zpool.h>' >"$scratch/caller"
echo '#include <zpool-driver.h>' >"$scratch/driver"
printf '#include <%s>\n' zpool.h zpool-driver.h zpool.h zpool-driver.h >"$scratch/both"
cat >"$scratch/use" <<'EOF'
#include <zpool.h>
uint64_t pool_bytes();
uint64_t pool_bytes()
{
	struct zpool_open_args args = ZPOOL_OPEN_ARGS_INIT;
	struct zpool *pool = zpool_open("libc", &args, sizeof(args));
	uint64_t bytes = zpool_get_total_size(pool);
	zpool_destroy_pool(pool);
	return bytes;
}
EOF

for file in caller driver both use; do
    for names in -UZPOOL_KERNEL_NAMES -DZPOOL_KERNEL_NAMES; do
        # shellcheck disable=SC2086 # it may be several words
        ${CXX:-c++} -std=c++11 $names -Wall -Wextra -Wpedantic -Werror -I"$include_dir" -fsyntax-only -x c++ \
            "$scratch/$file" || fail "$file does not compile as C++11 with $names, or fails"
    done
done
finish
