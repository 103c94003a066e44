#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The front end adds no atomic operation to malloc, free, map and unmap: their machine code contains none.
set -eu
library=${abs_top_builddir:?is the build tree, set by make check}/libzpool/.libs/libzpool.so
if ! command -v objdump >/dev/null || [ "$(uname -m)" != x86_64 ] || [ ! -e "$library" ] || [ -n "${SANITIZER_CFLAGS:-}$COVERAGE_CFLAGS" ]; then
	echo "SKIP: this test needs objdump, and a shared x86-64 library that was built without sanitizers and coverage"
	exit 77
fi
for function in zpool_malloc zpool_free zpool_map_handle zpool_unmap_handle; do
	code=$(objdump -d --no-show-raw-insn --disassemble=$function "$library" | grep -E '^ +[0-9a-f]+:')
	[ "$(printf '%s\n' "$code" | wc -l)" -ge 5 ] || { echo "FAIL: no code found for $function"; exit 1; }
	if printf '%s\n' "$code" | grep -E '	(lock|xchg|mfence)'; then
		echo "FAIL: $function has an atomic operation"
		exit 1
	fi
	echo "ok: $function: $(printf '%s\n' "$code" | wc -l) instructions, none atomic"
done
