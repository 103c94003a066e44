#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-abi.sh SRCDIR check|update - compare the binary interfaces of this build with the recorded ones, or record them
#
# tests/abi/NAME.abi describes what a program or a plugin that was compiled earlier relies on: the exported functions of
# the two libraries with all types that they use, among them the driver structure that the core reads from a plugin.  Functions that were added are reported
# and pass.  Everything else fails, also a structure that grew at its end, which is allowed: "update" records it, and
# the reviewer sees in the diff that nothing else changed.  The descriptions were made on x86_64, and say nothing about
# other machines.
#
# Runs in the top build directory, which must have been compiled with -g.

set -eu

srcdir=${1:?} action=${2:?}
records=$srcdir/tests/abi
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
trap 'exit 130' INT TERM

# NAME and the shared object.
interfaces="libzpool libzpool/.libs/libzpool.so
libzpool-store store/.libs/libzpool-store.so"

# Bits of abidiff's exit status.
error_bits=3

# Types that no public header defines are left out: programs know them only by pointer.
describe() { # OBJECT OUTPUT
    abidw --no-corpus-path --no-comp-dir-path --no-show-locs --exported-interfaces-only --drop-private-types \
        --header-file "$srcdir/libzpool/zpool.h" --header-file "$srcdir/libzpool/zpool-driver.h" \
        --header-file "$srcdir/libzpool/zpool-kernel.h" --header-file "$srcdir/store/zpool-store.h" "$1" |
        sed "s|path='[^']*/|path='|" >"$2"
    if ! grep -q '<class-decl' "$2"; then
        echo "check-abi: $1 has no debugging information; configure with CFLAGS that contain -g" >&2
        exit 1
    fi
}

if [ "$(uname -m)" != x86_64 ]; then
    echo "check-abi: skipped: the recorded descriptions are of x86_64, and this machine is $(uname -m)"
    exit 0
fi

status=0
while read -r name object; do
    if [ ! -e "$object" ]; then
        echo "check-abi: $object has not been built; run make first" >&2
        exit 1
    fi
    describe "$object" "$dir/$name.abi"
    if [ "$action" = update ]; then
        cp "$dir/$name.abi" "$records/$name.abi"
        continue
    fi
    result=0
    abidiff --no-show-locs "$records/$name.abi" "$dir/$name.abi" >"$dir/changes" || result=$?
    if [ $((result & error_bits)) -ne 0 ]; then
        echo "check-abi: abidiff could not compare $name:" >&2
        cat "$dir/changes" >&2
        status=1
    elif [ "$result" -ne 0 ] && grep -Eq '([1-9][0-9]* (Removed|Changed))' "$dir/changes"; then
        echo "check-abi: the interface of $name differs from the recorded one:"
        cat "$dir/changes"
        echo "check-abi: if structures only grew at their ends, \"make update-abi\" records it; otherwise compiled programs break"
        status=1
    elif [ "$result" -ne 0 ]; then
        echo "check-abi: $name has new functions; \"make update-abi\" records them:"
        cat "$dir/changes"
    else
        echo "check-abi: $name is as recorded"
    fi
done <<EOF
$interfaces
EOF
exit "$status"
