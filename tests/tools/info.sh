#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl info: parameters, limits, capabilities, and drivers that fail.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud copying noteless sieve lethal
run info zbud
exits "info succeeds" 0
silent "info prints no message"
prints "the first line has type, version, ABI and description" "^zbud [0-9.]+ \(ABI 1\.[0-9]+\): "
prints "the file is printed" "^  from +$work/plugins/zbud\.so"
prints "the largest object is printed" "^  largest object +3968 bytes"
prints "the alignment is printed" "^  alignment +[0-9]+ bytes"
prints "supported features are described" "^  can +evict objects"
prints "unsupported features are described" "^  cannot +move objects together"
prints_not "the list of unsupported features leaves out filter" "filter"
prints "the table of parameters has a header" "^PARAMETER +TYPE +DEFAULT +VALUES +CHANGES +MEANING"
prints "limit is a parameter" "^limit +size +0 +0 or more +any time +[a-z]"

run info --json zbud
exits "info --json succeeds" 0
is "type" zbud "$(value type)"
is "the largest object is in the JSON" 3968 "$(value max_object_bytes)"
is "it can evict" true "$(value capabilities evict)"
is "it cannot compact" false "$(value capabilities compact)"
is "it is not a filter" false "$(value capabilities filter)"
is "limit has a type" size "$(value parameters key=limit type)"
is "limit has a default" 0 "$(value parameters key=limit default)"
is "limit has no greatest value" null "$(value parameters key=limit max)"
is "limit changes at run time" true "$(value parameters key=limit runtime)"
is "info loads" true "$(value loaded)"

run info --json copying
is "a driver that only copies does not map" false "$(value capabilities map)"
run info --json noteless
is "the version is known after loading, without a note" "1.0" "$(value version)"
run info --json sieve
is "a filter is reported as one" true "$(value capabilities filter)"

run info nosuch
exits "an unknown driver is a failure" 1
warns "the message for an unknown driver has the searched path" "$work/plugins/nosuch\.so"
warns "the message for an unknown driver has the available drivers" \
    "^Available drivers: copying, lethal, noteless, sieve, zbud\."
run info no-such
warns "a dash in a driver's name stands for an underscore" "no_such: .*$work/plugins/no_such\\.so"
run info ../evil
exits "a path instead of a name is a failure" 1
echo "no ELF" >"$work/plugins/broken.so"
run info broken
exits "a broken plugin is a failure" 1
warns "the message for a broken plugin has the reason" "broken.*ELF"
run info lethal
exits "a driver that kills its process is a failure" 1
warns "the message for a driver that kills its process has the signal" "lethal: .*killed by SIG(KILL|ABRT)"

use_drivers guard copying
run check --case empty_pool_works guard+copying
exits "a filter that maps fails over a driver that only copies" 1
prints "the reason names both" "\"guard\" needs a driver that can map objects, but \"copying\" can only copy them"
run info guard
prints "a parameter that is true or false has these values" "^leaks +bool +yes +yes, no "
finish
