#!/bin/sh
# SPDX-License-Identifier: MIT
#
# overcommit.sh - pools, filters and stores where the system forbids overcommit (vm.overcommit_memory is 2)
#
#   make check-hostile-system ZPOOL_TEST_CHANGE_SYSTEM=yes
#
# The setting is one of the whole system: other programs may fail while it is in force. So the script changes it only if
# the variable above is set and root runs it, and restores it at its end, also after a signal. Reserved address space
# does not count, because it is not writable before the pool commits it, so everything must work as without the setting.

setting=${ZPOOL_TEST_OVERCOMMIT:-/proc/sys/vm/overcommit_memory}
builddir=${abs_top_builddir:?is the build tree, set by make check}
[ "${ZPOOL_TEST_CHANGE_SYSTEM:-}" = yes ] || {
    echo "skipped: this changes $setting for all programs; set ZPOOL_TEST_CHANGE_SYSTEM=yes if this system is yours alone"
    exit 77
}
[ -w "$setting" ] || {
    echo "skipped: $setting cannot be changed by this user"
    exit 77
}
before=$(cat "$setting")
# shellcheck disable=SC2317 # called by the traps
restore()
{
    echo "$before" >"$setting"
}
trap restore EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
echo 2 >"$setting" || exit 77
echo "$setting: $before, and 2 during the tests"

failed=0
for test in tests/limits/address_space tests/limits/locked tests/limits/mappings tests/store/store tests/store/backing \
    tests/filters/guard; do
    [ -x "$builddir/$test" ] || continue
    echo "== $test"
    "$builddir/$test" || failed=1
done
if [ -x "$builddir/tools/zpoolctl" ]; then
    for type in ${ZPOOL_TEST_DRIVERS:-zsmalloc}; do
        echo "== zpoolctl check $type"
        "$builddir/tools/zpoolctl" check --ops 20000 "$type" || failed=1
    done
fi
exit $failed
