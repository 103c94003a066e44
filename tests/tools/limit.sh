#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl store --limit: units are evicted to a file and read back.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud libc
text_file "$work/text" 8388608

run store -t zbud --json "$work/text"
whole=$(value drivers 0 pool_bytes)
units=$(value input units)
holds "the input needs more than the limit" "$whole" -gt 524288

run store -t zbud --limit 256K --json "$work/text"
exits "evicted units are read back intact, too" 0
silent "there is no message"
is "result" identical "$(value drivers 0 result)"
is "the limit is in the JSON" 262144 "$(value limit_bytes)"
is "the limit is in the spec" zbud:limit=262144 "$(value drivers 0 spec)"
is "every unit was stored" "$units" "$(value drivers 0 stored)"
is "every unit was compared" "$units" "$(value drivers 0 compared)"
is "no unit was refused" 0 "$(value drivers 0 refused no_memory)"
holds "units were evicted" "$(value drivers 0 evicted)" -gt 0
holds "not all units were evicted" "$(value drivers 0 evicted)" -lt "$units"
holds "the pool did not exceed its limit" "$(value drivers 0 pool_bytes)" -le 262144
holds "the stored bytes are fewer than the limit" "$(value drivers 0 stored_bytes)" -lt 262144

run store -t zbud --limit 256K "$work/text"
prints "evictions have a column" "EVICTED"
prints "the limit is printed" "pools limited to 256K"
prints "the table shows evictions" "^zbud +$units +0 +0 +[1-9][0-9]* .* identical\$"

run store -t libc --limit 256K "$work/text"
exits "a named driver that cannot evict is a failure" 1
prints "a named driver that cannot evict is shown" "^libc .* refused: cannot evict"
run store --limit 256K "$work/text"
exits "a driver of the default list that cannot evict is not a failure" 0
prints "a driver of the default list that cannot evict is shown" "^libc .* refused: cannot evict"
prints "the others are tried" "^zbud .* identical\$"

# zbud accepts no unit of a whole page, so these go to the file at once. The last unit is a short one.
random_file "$work/random" 65536
text_file "$work/tail" 100
run store -t zbud --limit 256K --json "$work/text" "$work/random" "$work/tail"
exits "units that the driver refuses do not stop the others" 0
is "they are counted as too large" 16 "$(value drivers 0 refused too_large)"
is "none is counted as lacking memory" 0 "$(value drivers 0 refused no_memory)"
is "all others are stored, also a short one" $((units + 1)) "$(value drivers 0 stored)"
is "all others are compared" $((units + 1)) "$(value drivers 0 compared)"
is "nothing differs" 0 "$(value drivers 0 differing)"

run store -t zbud --limit 1 "$work/text"
exits "a limit below an empty pool is a failure" 1
run store -t zbud --limit 1G --json "$work/text"
exits "a limit that is never reached succeeds" 0
is "the time of evictions is null without one" null "$(value drivers 0 evict_ns)"
holds "the time of a store is a number" "$(value drivers 0 store_ns)" -ge 0
is "no unit is evicted" 0 "$(value drivers 0 evicted)"
finish
