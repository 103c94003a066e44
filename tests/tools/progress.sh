#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The progress bar: on a terminal, and nowhere else.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

command -v script >/dev/null || {
    echo "there is no script(1) to make a terminal with"
    exit 77
}
# An empty chroot has the program, but no /dev/pts.
script -qec true /dev/null </dev/null >/dev/null 2>&1 || {
    echo "no pseudo-terminal is to be had"
    exit 77
}
use_drivers libc
text_file "$work/text" 131072

run store -t libc "$work/text"
silent "no bar in a file"
TERM=xterm script -qec "'$zpoolctl' store -t libc '$work/text'" /dev/null </dev/null >"$work/out" 2>"$work/err"
prints "a bar on a terminal" 'reading, compressing +\[[.#]+\] +[0-9]+ %'
prints "it is wiped in the end" "$(printf '\r\033\\[K')"
prints "the table follows" "libc .*identical"
TERM=dumb script -qec "'$zpoolctl' store -t libc '$work/text'" /dev/null </dev/null >"$work/out" 2>"$work/err"
prints_not "no bar on a terminal that cannot" 'reading'
TERM=xterm script -qec "'$zpoolctl' store -t libc '$work/text' 2>'$work/err'" /dev/null </dev/null >"$work/out"
silent "no bar where only standard output is a terminal"
finish
