#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl info: parameters, limits, capabilities, and drivers that come to no good.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers zbud copying noteless sieve lethal
run info zbud
exits "info succeeds" 0
silent "info has nothing to complain of"
prints "the head tells type, version, ABI, description" "^zbud [0-9.]+ \(ABI 1\.[0-9]+\): "
prints "the file is told" "^  from +$work/plugins/zbud\.so"
prints "the largest object is told" "^  largest object +3968 bytes"
prints "the alignment is told" "^  alignment +[0-9]+ bytes"
prints "what it can is told in words" "^  can +evict objects"
prints "what it cannot is told in words" "^  cannot +move objects together"
prints_not "that it is no filter is not held against it" "filter"
prints "parameters have a head" "^PARAMETER +TYPE +DEFAULT +VALUES +CHANGES +MEANING"
prints "limit is a parameter" "^limit +size +0 +0 or more +any time +[a-z]"

run info --json zbud
exits "info --json succeeds" 0
is "type" zbud "$(value type)"
is "the largest object is in the JSON" 3968 "$(value max_object_bytes)"
is "it can evict" true "$(value capabilities evict)"
is "it cannot compact" false "$(value capabilities compact)"
is "it is no filter" false "$(value capabilities filter)"
is "limit has a type" size "$(value parameters key=limit type)"
is "limit has a default" 0 "$(value parameters key=limit default)"
is "limit has no greatest value" null "$(value parameters key=limit max)"
is "limit changes at run time" true "$(value parameters key=limit runtime)"
is "info loads" true "$(value loaded)"

run info --json copying
is "a driver that only copies does not map" false "$(value capabilities map)"
run info --json noteless
is "what a note would have told is known after loading" "1.0" "$(value version)"
run info --json sieve
is "a filter is told" true "$(value capabilities filter)"

run info nosuch
exits "an unknown driver is a failure" 1
says "an unknown driver is told with the path tried" "$work/plugins/nosuch\.so"
says "an unknown driver is told with those there are" \
    "^Available drivers: copying, lethal, noteless, sieve, zbud\."
run info ../evil
exits "a path for a name is a failure" 1
echo "no ELF" >"$work/plugins/broken.so"
run info broken
exits "a broken plugin is a failure" 1
says "a broken plugin is told with the reason" "broken.*ELF"
run info lethal
exits "a driver that kills its process is a failure" 1
says "a driver that kills its process is told with the signal" "lethal: .*killed by SIG(KILL|ABRT)"
finish
