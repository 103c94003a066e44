#!/bin/sh
# SPDX-License-Identifier: MIT
#
# ignored_sigchld.sh - run conformance cases in a program that was started with SIGCHLD ignored, as by many daemons: the
# kernel would not report how the processes of the cases end, and the suite would wait for ever
set -eu
builddir=${abs_top_builddir:?is the build tree, set by make check}
env --ignore-signal=CHLD true 2>/dev/null || {
    echo "skipped: env(1) cannot ignore a signal"
    exit 77
}
# The script with which libtool starts the program would restore the signal.
contract=$builddir/tests/contract/.libs/contract
[ -x "$contract" ] || contract=$builddir/tests/contract/contract

LD_LIBRARY_PATH=$builddir/libzpool/.libs${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
export LD_LIBRARY_PATH
timeout -s KILL 600 env --ignore-signal=CHLD "$contract" --driver zbud --case handle_zero_is_refused \
    --case fork_while_threads_work_leaves_consistent_pools
