#!/bin/sh
# SPDX-License-Identifier: MIT
#
# verified.sh SRCDIR TEST... - run tests in a build with --enable-debug-checks, in ./debug-checks
#
# There the drivers verify their invariants after every call, so it is slow; the model check makes fewer operations.
# Configured once, so that a second run rebuilds only what changed.
set -eu

srcdir=$1
shift
case $srcdir in
/*) ;;
*) srcdir=../$srcdir ;;
esac

mkdir -p debug-checks
cd debug-checks
[ -f config.status ] || "$srcdir/configure" --enable-werror --enable-debug-checks CFLAGS='-O1 -g'

export CK_TIMEOUT_MULTIPLIER="${CK_TIMEOUT_MULTIPLIER:-10}"
exec make -j "$(nproc)" check TESTS="$*"
