#!/bin/sh
# SPDX-License-Identifier: MIT
#
# plugins.sh - the requirements on every plugin file
#
# It exports zpool_driver and <type>_LTX_zpool_driver and nothing else, uses no function of libzpool, binds all symbols
# when it is opened, has the note that tools read, and does not depend on libzpool.

set -u
. "${srcdir:?}/tests/install/common.sh"

: "${plugin_dir:=plugins/.libs}"
set -- "$plugin_dir"/*.so
[ -e "$1" ] || skip "built without plugins"

for plugin; do
    type=$(basename "$plugin" .so)
    exported=$(exported_symbols "$plugin" | tr '\n' ' ')
    expected=$(printf '%s\n' "${type}_LTX_zpool_driver" zpool_driver | sort | tr '\n' ' ')
    [ "$exported" = "$expected" ] || fail "$plugin exports $exported"
    wanted=$(run_nm -D --undefined-only --format=posix "$plugin" | awk '$1 ~ /^zp_|^zpool_/ { print $1 }')
    [ -z "$wanted" ] || fail "$plugin has undefined symbols of libzpool: $(echo "$wanted" | tr '\n' ' ')"
    dynamic=$("${READELF:?}" -dW "$plugin")
    case $dynamic in
    *BIND_NOW* | *'FLAGS_1'*NOW*) ;;
    *) fail "$plugin does not bind its symbols when it is opened" ;;
    esac
    case $dynamic in
    *'NEEDED'*libzpool*) fail "$plugin needs libzpool" ;;
    esac
    case $dynamic in
    *RPATH* | *RUNPATH*) fail "$plugin has a run path" ;;
    esac
    "${READELF:?}" -nW "$plugin" 2>/dev/null | grep -q '\.note\.zpool' || fail "$plugin has no note"
done
finish
