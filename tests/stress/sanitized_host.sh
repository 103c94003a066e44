#!/bin/sh
# SPDX-License-Identifier: MIT
#
# If a host is built with the thread sanitizer and the library is not, the sanitizer reports no race in the library, and
# still reports races of the host.
set -eu
source=${abs_top_srcdir:?is the source tree, set by make check}
library=${abs_top_builddir:?is the build tree, set by make check}/libzpool/.libs
if [ ! -e "$library/libzpool.so" ] || [ -n "${SANITIZER_CFLAGS:-}$COVERAGE_CFLAGS" ]; then
	echo "SKIP: this test needs a shared library that was built without sanitizers and coverage"
	exit 77
fi
dir=$(mktemp -d "${TMPDIR:-/tmp}/zpool-sanitized-host.XXXXXX")
trap 'rm -rf "$dir"' EXIT
# The sanitizer writes its reports to the log; a special exit status shows that there were some.
TSAN_OPTIONS=exitcode=66
export TSAN_OPTIONS

# usable COMPILER: succeeds if the compiler has the sanitizer and the sanitizer works on this kernel
usable() {
	command -v "${1%% *}" >"$dir/probe.log" 2>&1 || return 1
	echo 'int main(void) { return 0; }' >"$dir/probe.c"
	$1 -fsanitize=thread "$dir/probe.c" -o "$dir/probe" >"$dir/probe.log" 2>&1 && "$dir/probe" >"$dir/probe.log" 2>&1
}

tried=0
for compiler in gcc clang; do
	if ! usable $compiler; then
		echo "SKIP: $compiler has no thread sanitizer that works here"
		continue
	fi
	tried=$((tried + 1))
	$compiler -std=gnu11 -O1 -g -fsanitize=thread -pthread -I"$source/libzpool" "$source/tests/stress/sanitized_host.c" \
		-L"$library" -lzpool -Wl,-rpath,"$library" -o "$dir/host"
	for spec in ${ZPOOL_TEST_DRIVERS:?} guard+z3fold guard+zsmalloc fault:malloc_share=9+zbud \
		"trace:overwrite=yes,file=$dir/trace+zsmalloc" zbud:limit=1M; do
		status=0
		timeout 120 "$dir/host" "$spec" >"$dir/log" 2>&1 || status=$?
		if [ $status -ne 0 ]; then
			cat "$dir/log"
			echo "FAIL: a host built by $compiler with -fsanitize=thread ended with exit status $status on $spec"
			exit 1
		fi
		echo "ok: $compiler: $spec"
	done
	status=0
	timeout 120 "$dir/host" zbud race >"$dir/log" 2>&1 || status=$?
	if [ $status -ne 66 ] || ! grep -q 'raced' "$dir/log"; then
		cat "$dir/log"
		echo "FAIL: a host built by $compiler ended with exit status $status, and its own race was not reported"
		exit 1
	fi
	echo "ok: $compiler: the host's own race is reported"
done
[ $tried -gt 0 ] || exit 77
