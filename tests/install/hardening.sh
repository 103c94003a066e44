#!/bin/sh
# SPDX-License-Identifier: MIT
#
# hardening.sh - the built files have the hardening that configure chose
#
# A linker marks a file for CET or BTI only if the C library's startup files are marked too, which depends on the
# system. Therefore the script checks the marks of libzpool's own objects.

set -u
. "${srcdir:?}/tests/install/common.sh"

case ${HARDEN_CFLAGS?} in
*-fstack-protector*) ;;
*) skip "built without hardening" ;;
esac
archive=libzpool/libzpool-support.a
objects=$("${READELF:?}" -hW "$archive" 2>/dev/null | grep -c '^ELF Header')

# marked_objects PATTERN - prints how many objects of the archive have the mark
marked_objects() {
    "${READELF:?}" -nW "$archive" 2>/dev/null | grep -c "$1"
}

# shellcheck disable=SC2086 # a list of flags
echo 'int answer(void) { return 42; }' | run_cc $HARDEN_CFLAGS -c -x c -o "${TMPDIR:-/tmp}/zpool-marked.$$" - || exit 99
expected=$("${READELF:?}" -nW "${TMPDIR:-/tmp}/zpool-marked.$$" 2>/dev/null | sed -n 's/.*\(IBT, SHSTK\|BTI, PAC\|BTI\).*/\1/p')
rm -f "${TMPDIR:-/tmp}/zpool-marked.$$"
case $HARDEN_CFLAGS in
*-fcf-protection* | *-mbranch-protection*)
    [ -n "$expected" ] || [ "$(uname -m)" != x86_64 ] || fail "the compiler accepts the flag, but marks nothing"
    ;;
esac
[ -z "$expected" ] || [ "$(marked_objects "$expected")" -eq "$objects" ] ||
    fail "$(marked_objects "$expected") of $objects objects are marked $expected"

for file in libzpool/.libs/libzpool.so plugins/.libs/*.so; do
    [ -e "$file" ] || continue
    headers=$("$READELF" -lW "$file")
    case $HARDEN_LDFLAGS in
    *relro*) case $headers in *GNU_RELRO*) ;; *) fail "$file has no RELRO segment" ;; esac ;;
    esac
    case $headers in
    *'GNU_STACK'*RWE*) fail "$file has an executable stack" ;;
    esac
    case $HARDEN_LDFLAGS in
    *-z,now*) "$READELF" -dW "$file" | grep -qE 'BIND_NOW|FLAGS_1.*NOW' || fail "$file does not bind its symbols when it is loaded" ;;
    esac
done
printf '%s objects, marked "%s"\n' "$objects" "$expected"
finish
