#!/bin/sh
# SPDX-License-Identifier: MIT
#
# mocks.sh: the contract suite on drivers that have little more than what they must, on a stack with a filter, and on a
# driver that is named with a parameter
set -eu
exec "${abs_top_builddir:?is the build tree, set by make check}/tests/contract/with_mocks" --ops 50000 \
    --driver mock_maps --driver mock_copies --driver mock_slabs --driver mock_pass+zbud --driver zbud:reserve=1M
