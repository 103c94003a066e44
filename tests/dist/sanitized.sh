#!/bin/sh
# SPDX-License-Identifier: MIT
#
# sanitized.sh SRCDIR LIST - run the test suite in a build with -fsanitize=LIST
#
# The build is in ./sanitize-LIST, with hyphens for commas: gcc splits the argument of -Wl,-rpath-link at a comma.
# The build is configured only once, so a second run rebuilds only what changed.

set -eu

srcdir=$1
list=$2
case $srcdir in
/*) ;;
*) srcdir=../$srcdir ;;
esac

dir=sanitize-$(echo "$list" | tr , -)
mkdir -p "$dir"
cd "$dir"
[ -f config.status ] || "$srcdir/configure" --enable-werror --enable-sanitizer="$list" CFLAGS='-O1 -g'

# The thread sanitizer needs certain address ranges, which address space randomization may occupy. Some containers do
# not allow turning randomization off.
quiet_addresses=
case $list in
*thread*) ! setarch "$(uname -m)" -R true 2>/dev/null || quiet_addresses="setarch $(uname -m) -R" ;;
esac

export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-10}"
# shellcheck disable=SC2086 # a command of several words, or none
exec $quiet_addresses make -j "$(nproc)" check
