#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mocks.sh - run the conformance suite on drivers with few optional features, on a stack with a filter and on a driver
# that is given with a parameter; the cases about missing features on filters above drivers without statistics; and some
# cases of several drivers in one process
set -eu
with_mocks=${abs_top_builddir:?is the build tree, set by make check}/tests/contract/with_mocks

"$with_mocks" --ops 50000 \
    --driver mock_maps --driver mock_copies --driver mock_slabs --driver mock_pass+zbud --driver zbud:reserve=1M

"$with_mocks" --driver fault+mock_maps --driver fault+mock_copies --driver trace:file=/dev/null+mock_maps \
    --driver guard+mock_maps --driver guard+fault+mock_maps \
    --case unsupported_calls_return_eopnotsupp --case create_keeps_no_pointer_to_its_arguments --case parameter_values_may_be_larger \
    --case stats_fit_every_structure_size --case stats_report_stored_objects --case stats_fit_older_and_newer_callers \
    --case stats_separate_limit_and_nowait_failures --case stats_are_exact_after_threads

# Several drivers in one process, as in a run with the thread sanitizer.
"$with_mocks" --no-fork --driver zbud --driver guard+mock_maps \
    --case create_keeps_no_pointer_to_its_arguments --case parameter_values_may_be_larger --case stats_fit_every_structure_size
