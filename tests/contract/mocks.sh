#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mocks.sh - run the conformance suite on drivers with few optional features, on a stack with a filter and on a driver
# that is given with a parameter; the cases about missing features on filters above drivers without statistics; and some
# cases of several drivers in one process
set -eu
with_mocks=${abs_top_builddir:?is the build tree, set by make check}/tests/contract/with_mocks
dir=$(mktemp -d "${TMPDIR:-/tmp}/zpool-mocks.XXXXXX")
trap 'rm -rf "$dir"' EXIT
trap 'exit 1' HUP INT TERM

"$with_mocks" --ops 50000 \
    --driver mock_maps --driver mock_copies --driver mock_slabs --driver mock_pass+zbud --driver zbud:reserve=1M

"$with_mocks" --driver fault+mock_maps --driver fault+mock_copies --driver "trace:file=$dir/trace,overwrite=yes+mock_maps" \
    --driver guard+mock_maps --driver guard+fault+mock_maps \
    --case what_is_missing_says_so --case args_are_gone_when_create_returns --case values_may_be_larger \
    --case statistics_fit_each_size --case stats_tell_what_is_stored --case stats_fit_older_and_newer_callers \
    --case stats_tell_the_limit_from_want_of_memory --case stats_are_true_after_threads

# Several drivers in one process, as in a run with the thread sanitizer.
"$with_mocks" --no-fork --driver zbud --driver guard+mock_maps \
    --case args_are_gone_when_create_returns --case values_may_be_larger --case statistics_fit_each_size
