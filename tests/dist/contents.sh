#!/bin/sh
# SPDX-License-Identifier: MIT
#
# contents.sh - what `make dist' packs does not depend on how the tree was configured
#
# Each of automake's conditionals is turned over, one at a time, in a copy of this build's Makefile, and the lists of files
# are compared.  Runs in the top build directory.

set -u
. "${srcdir:?}/tests/install/common.sh"

[ -e "$srcdir/Makefile.in" ] || skip "there is no Makefile.in"
make_scratch

# distributed_files NAME - of the Makefile whose template is standard input, one a line
distributed_files() {
    # shellcheck disable=SC2016 # make expands it
    { sed '/am--include-marker/d' && printf 'print-distfiles:\n\t@for file in $(DISTFILES); do echo $$file; done\n'; } \
        >"$scratch/$1.in"
    ./config.status --silent --file="$scratch/$1:$scratch/$1.in" >/dev/null || return
    # A make that called us hands down neither its flags nor its job server.
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
            distributed_files "$conditional.$value" || fail "the Makefile with $conditional $value"
        difference=$(comm -3 "$scratch/as_configured.list" "$scratch/$conditional.$value.list" | tr '\t\n' '  ')
        [ -z "$difference" ] || fail "depends on $conditional: $difference"
    done
done
printf '%d files, conditionals: %s\n' "$(wc -l <"$scratch/as_configured.list")" "$(echo "$conditionals" | tr '\n' ' ')"
finish
