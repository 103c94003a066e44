#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The progress bar is drawn on a terminal, and nowhere else.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

command -v script >/dev/null || {
    echo "script(1), which makes a terminal, is not installed"
    exit 77
}
# An empty chroot may have the program, but no /dev/pts.
script -qec true /dev/null </dev/null >/dev/null 2>&1 || {
    echo "this system has no pseudo-terminals"
    exit 77
}
use_drivers libc
text_file "$work/text" 131072

run store -t libc "$work/text"
silent "no bar is written to a file"
TERM=xterm script -qec "'$zpoolctl' store -t libc '$work/text'" /dev/null </dev/null >"$work/out" 2>"$work/err"
prints "a bar is drawn on a terminal" 'reading, compressing +\[[.#]+\] +[0-9]+ %'
prints "the bar is wiped at the end" "$(printf '\r\033\\[K')"
prints "the table follows the bar" "libc .*identical"
TERM=dumb script -qec "'$zpoolctl' store -t libc '$work/text'" /dev/null </dev/null >"$work/out" 2>"$work/err"
prints_not "no bar is drawn on a dumb terminal" 'reading'
TERM=xterm script -qec "'$zpoolctl' store -t libc '$work/text' 2>'$work/err'" /dev/null </dev/null >"$work/out"
silent "no bar is drawn if only standard output is a terminal"
finish
