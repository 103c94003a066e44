#!/bin/sh
# SPDX-License-Identifier: MIT
#
# clean-start.sh - a test starts without the signals and descriptors that its caller ignored, blocked or closed
set -eu
program=${abs_top_builddir:?is the build tree, set by make check}/tests/clean-start
[ -r /proc/self/status ] || { echo 'skipped: no /proc'; exit 77; }

# expect_clean MASKS - SigBlk and SigIgn of a process
expect_clean() {
    # Signals 32 and 33 are reserved by the C library, and nobody else can set them.
    case $(echo "$1" | sed 's/0000000180000000//') in
    *[1-9a-f]*) echo "signals are still blocked or ignored: $1" >&2; exit 1 ;;
    esac
}

# shellcheck disable=SC2016 # for the inner shell
show='sed -n "s/^Sig\(Blk\|Ign\):[[:space:]]*//p" /proc/self/status'
expect_clean "$(trap '' HUP INT QUIT PIPE TERM && exec "$program" sh -c "$show")"
# Only newer versions of env can block signals.
if env --block-signal=HUP true 2>/dev/null; then
    expect_clean "$(env --block-signal=HUP --block-signal=CHLD --ignore-signal=USR1 "$program" sh -c "$show")"
fi
# shellcheck disable=SC2016 # for the inner shell
"$program" sh -c 'for fd in 0 1 2; do [ -e /proc/self/fd/$fd ] || exit 1; done' <&- >&- 2>&-
