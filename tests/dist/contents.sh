#!/bin/sh
# SPDX-License-Identifier: MIT
#
# contents.sh - what `make dist' packs does not depend on how the tree was configured
#
# The script inverts each of automake's conditionals, one at a time, in a copy of this build's Makefile, and compares
# the lists of files. It runs in the top build directory.

set -u
. "${srcdir:?}/tests/install/common.sh"

[ -e "$srcdir/Makefile.in" ] || skip "there is no Makefile.in"
make_scratch

# distributed_files NAME - lists the files of the Makefile whose template is on standard input, one per line
distributed_files() {
    # shellcheck disable=SC2016 # make expands it
    { sed '/am--include-marker/d' && printf 'print-distfiles:\n\t@for file in $(DISTFILES); do echo $$file; done\n'; } \
        >"$scratch/$1.in"
    ./config.status --silent --file="$scratch/$1:$scratch/$1.in" >/dev/null || return
    # A make that runs this script must not pass its flags or its job server to this one.
    (unset MAKEFLAGS MFLAGS MAKELEVEL && "${MAKE:-make}" -s -f "$scratch/$1" print-distfiles) | sort -u >"$scratch/$1.list"
}

distributed_files as_configured <"$srcdir/Makefile.in"
[ -s "$scratch/as_configured.list" ] || fail "no file is distributed"
conditionals=$(grep -o '@[A-Za-z0-9_]*_TRUE@' "$srcdir/Makefile.in" | tr -d @ | sed 's/_TRUE$//' | grep -v '^am__' | sort -u)
for conditional in $conditionals; do
    for value in true false; do
        if [ "$value" = true ]; then
            on='' off='#'
        else
            on='#' off=''
        fi
        sed "s/@${conditional}_TRUE@/$on/g; s/@${conditional}_FALSE@/$off/g" "$srcdir/Makefile.in" |
            distributed_files "$conditional.$value" || fail "the Makefile with $conditional $value does not work"
        difference=$(comm -3 "$scratch/as_configured.list" "$scratch/$conditional.$value.list" | tr '\t\n' '  ')
        [ -z "$difference" ] || fail "the list of files depends on $conditional: $difference"
    done
done
printf '%d files, conditionals: %s\n' "$(wc -l <"$scratch/as_configured.list")" "$(echo "$conditionals" | tr '\n' ' ')"
finish
