#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-svg.sh - the picture of doc/architecture.md agrees with its source
#
# Versions of graphviz place boxes differently, so only the boxes, arrows and texts are compared.

set -u
. "${srcdir:?}/tests/install/common.sh"

command -v dot >/dev/null || skip "graphviz is not installed"
make_scratch

# contents FILE - the titles of boxes and arrows, and the texts, one a line; sorted, because their order may differ too
contents() {
    grep -oE '<(title|text)[ >].*' "$1" | sed -E 's/^<(title|text)[^>]*>/\1 /; s/<.*//' | LC_ALL=C sort
}

dot -Tsvg "$srcdir/doc/architecture.dot" >"$scratch/architecture.svg" || fail "dot refuses doc/architecture.dot"
contents "$scratch/architecture.svg" >"$scratch/expected"
contents "$srcdir/doc/architecture.svg" >"$scratch/actual"
[ "$(wc -l <"$scratch/expected")" -gt 20 ] || fail "dot printed no picture"
diff "$scratch/actual" "$scratch/expected" || fail "doc/architecture.svg is out of date: run make doc-svg"
finish
