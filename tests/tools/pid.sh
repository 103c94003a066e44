#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl store --pid: the private memory of a process.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers libc
victim=$builddir/tests/tools/victim
[ -x "$victim" ] || {
    echo "victim was not built"
    exit 77
}
mkfifo "$work/ready"
"$victim" "$work/ready" &
pid=$!
trap 'kill "$pid" 2>/dev/null; rm -rf "$work"' EXIT
read -r _ <"$work/ready"

run store --json --pid "$pid"
if [ "$status" -ne 0 ] && grep -q "may not be read" "$work/err"; then
    echo "this system forbids reading the memory of another process"
    exit 77
fi
exits "the memory of a process is read back intact" 0
is "result" identical "$(value drivers 0 result)"
is "the pid is in the JSON" "$pid" "$(value input pid)"
# The victim has 4 MiB of text, 2 MiB of one repeated word, and 64 MiB that it never touched.
holds "memory that the process wrote is stored" "$(value input bytes)" -gt 6291456
holds "same-filled memory is stored" "$(value input same_filled)" -ge 500
holds "compressible memory is stored" "$(value input compressed)" -ge 1024
if [ -r "/proc/$pid/pagemap" ]; then
    holds "memory that the process never touched is not stored" "$(value input bytes)" -lt 33554432
fi
run store --pid "$pid"
exits "the table is printed" 0
prints "the process is printed" "^Process $pid: [0-9]+ private mappings, "
run store --pid "$pid" --unit 64K --json
exits "units larger than a page work" 0
is "units larger than a page are read back intact" identical "$(value drivers 0 result)"
run store --pid "$pid" --unit 512 --json
is "units smaller than a page are read back intact" identical "$(value drivers 0 result)"

kill "$pid"
wait "$pid" 2>/dev/null
run store --pid "$pid"
exits "a process that has ended is a failure" 1
warns "a process that has ended is reported" "there is no process $pid"
trap 'rm -rf "$work"' EXIT

if [ "$(id -u)" != 0 ]; then
    run store --pid 1
    exits "a process that may not be read is a failure" 1
    warns "a process that may not be read is reported" "this user may not read the memory of process 1: "
fi
finish
