#!/bin/sh
# SPDX-License-Identifier: MIT
#
# verified.sh SRCDIR TEST... - run tests in a build with --enable-debug-checks, in ./debug-checks
#
# In such a build, the drivers verify their invariants after every call. This is slow, so the model check makes fewer
# operations. The build is configured only once, so a second run rebuilds only what changed.
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
