#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Drivers that crash, hang, exit or lose data: the tool reports this, and the results of other drivers are not affected.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers crash hang corrupt exits lethal copying refuses stray
text_file "$work/text" 131072

run store --timeout 1 "$work/text"
exits "drivers that fail make the status 1" 1
prints "a crash is in the table, with the signal" "^crash .* failed: killed by SIGABRT .*while storing"
prints "a hang is in the table" "^hang .* failed: stopped after 1 s in which nothing happened while storing"
prints "a driver that exits is in the table" "^exits .* failed: ended with status 0 while opening a pool"
prints "a driver that kills at once is in the table" "^lethal .* failed: killed by SIGKILL"
prints "lost data is in the table" "^corrupt .* 1 differs\$"
prints "a driver that creates no pool is in the table, with its reason" "^refuses .* failed: .*the device is missing"
prints "a good driver's result is not affected" "^copying .* identical\$"
prints "a driver that writes to the tool's pipe is in the table" "^stray .* failed: ended with status 0 after damaging its results"
warns "a crash is reported" "crash: killed by SIGABRT"

run store --timeout 1 --json "$work/text"
exits "the exit status is 1 with JSON too" 1
is "crash" failed "$(value drivers driver=crash result)"
is "hang" failed "$(value drivers driver=hang result)"
is "exits" failed "$(value drivers driver=exits result)"
is "corrupt" differs "$(value drivers driver=corrupt result)"
is "one unit differs" 1 "$(value drivers driver=corrupt differing)"
is "copying" identical "$(value drivers driver=copying result)"
is "a good driver has no reason" null "$(value drivers driver=copying reason)"

for driver in corrupt crash; do
    run store -t $driver "$work/text"
    exits "$driver alone makes the status 1" 1
done
run store -t refuses "$work/text"
exits "a named driver that creates no pool makes the status 1" 1
warns "its reason is reported" "refuses: .*the device is missing"
is "nothing is stored" "" "$(cat "$work/out")"
run store -t copying "$work/text"
exits "a good driver alone makes it 0" 0

run store --json --limit 1M "$work/text"
is "a driver that cannot evict is refused before it can crash" refused "$(value drivers driver=crash result)"
finish
