#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Without shared libraries, the drivers are linked into the tool, which then needs no plugin directory.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

# shellcheck disable=SC2119 # no driver is used as a plugin
use_drivers
is_linked_in libc || {
    echo "the tool loads its drivers from files"
    exit 77
}
text_file "$work/text" 131072

run list
exits "list succeeds" 0
for driver in ${ZPOOL_TEST_TYPES:?lists the plugins, set by make check}; do
    prints "$driver is listed" "^$driver +[0-9.]+ +1\.[0-9]+ +yes +linked in +[a-z]"
    run info --json "$driver"
    exits "info $driver succeeds" 0
    is "$driver comes from no file" null "$(value path)"
    is "$driver is linked in" "linked in" "$(value origin)"
    run list
done
run store "$work/text"
exits "store succeeds" 0
is "store tries all drivers" "$(echo "$ZPOOL_TEST_DRIVERS" | wc -w)" "$(grep -c 'identical$' "$work/out")"
finish
