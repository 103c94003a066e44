#!/bin/sh
# SPDX-License-Identifier: MIT
#
# check-docs.sh - check the documents against the code
#
# The script checks that
#
# - every public function of zpool.h and zpool-store.h has a man page with its prototype and every errno of its comment
# - the pages have the library's version and pass mandoc's lint, if mandoc is installed
# - every program and plugin in README.md, the tutorial and the man pages compiles and runs, and the plugins of README.md
#   and of the tutorial, at each of its steps, pass the conformance tests
# - outputs that README.md and the tutorial quote have the shape of a real run
# - links between the documents lead to existing files
#
# `make check' runs the script in the build directory, with $srcdir set. The script says what it is doing, because the
# conformance tests take a while.

# shellcheck disable=SC2086 # $cc and $flags are lists of words
set -u

srcdir=${srcdir:-.}
man=$srcdir/doc/man
header=$srcdir/libzpool/zpool.h
store_header=$srcdir/store/zpool-store.h
faults=0
work=$(mktemp -d "${TMPDIR:-/tmp}/zpool-docs.XXXXXX") || exit 99
trap 'rm -rf "$work"' EXIT
trap 'exit 99' HUP INT TERM
umask 022

fault() {
	echo "fault: $*"
	faults=$((faults + 1))
}

# Prints a variable of the Makefile, such as CC, the compiler that configure chose.
make_variable() {
	sed -n "s/^$1 = //p" Makefile
}

if ! test -f Makefile || ! test -f "$header"; then
	echo "run this in the build directory, with srcdir set to the source directory"
	exit 99
fi
cc="${CC:-$(make_variable CC)} -pthread $(make_variable SANITIZER_CFLAGS) $(make_variable COVERAGE_CFLAGS)"

# --- Man pages against the header -----------------------------------------------------------------------------------

echo '#include <errno.h>' | $cc -E -dM - | sed -n 's/^#define \(E[A-Z0-9]*\) .*/\1/p' | sort -u >"$work/errnos"

# Prints a line for each public function: its name, the words of the comment above it that begin with E, "|", and its
# prototype without blanks.  A function without a comment shares the comment of the function before it.
awk '
	/^\/\*/ { comment = "" }
	/^\/\*/, /\*\// { comment = comment " " $0 }
	/^ZPOOL_PUBLIC/ { declaration = "" ; declaring = 1 }
	declaring { declaration = declaration " " $0 }
	declaring && /;/ {
		declaring = 0
		sub(/^ *ZPOOL_PUBLIC/, "", declaration)
		match(declaration, /zpool_[a-z_]*\(/)
		name = substr(declaration, RSTART, RLENGTH - 1)
		gsub(/[ \t]/, "", declaration)
		words = ""
		count = split(comment, word, /[^A-Z0-9a-z_]+/)
		for (i = 1; i <= count; i++)
			if (word[i] ~ /^E[A-Z0-9]+$/)
				words = words " " word[i]
		print name words " | " declaration
	}
' "$header" "$store_header" >"$work/functions"
test -s "$work/functions" || fault "no public function found in zpool.h"

# Prints a page's synopsis without macros, quotes and blanks, in which prototypes can be found.
synopsis() {
	sed -n '/^\.SH SYNOPSIS/,/^\.SH DESCRIPTION/{s/^\.B[IR]* //;s/"//g;s/\\-/-/g;p;}' "$1" | tr -d ' \t\n'
}

while read -r name rest; do
	errnos=${rest%%|*}
	prototype=${rest#*| }
	page=$(grep -lE "^(zpool.*, )?${name}[, ].*\\\\-" "$man"/*.3)
	if test "$(echo "$page" | grep -c .)" -ne 1; then
		fault "$name() is in the NAME line of no man page, or of several: $page"
		continue
	fi
	if test "$(basename "$page")" != "$name.3"; then
		link=doc/man/$name.3
		case $name in
		zpool_store_*) grep -q '^install_store = no$' Makefile && continue ;;
		esac
		if ! test -f "$link"; then
			fault "$name() has no link page: add $link to doc/local.mk"
		elif test "$(cat "$link")" != ".so man3/$(basename "$page")"; then
			fault "$link does not lead to $(basename "$page")"
		fi
	fi
	case $(synopsis "$page") in
	*"$prototype"*) ;;
	*) fault "$(basename "$page"): the synopsis lacks or misstates $prototype" ;;
	esac
	for word in $errnos; do
		if grep -qx "$word" "$work/errnos" && ! grep -q "\\b$word\\b" "$page"; then
			fault "$(basename "$page"): $word, which the header names for $name(), is missing"
		fi
	done
done <"$work/functions"
echo "$(wc -l <"$work/functions") public functions compared with their pages"

version=$(sed -n 's/^#define ZPOOL_VERSION "\(.*\)"/\1/p' "$header")
for page in "$man"/*.[1-8]; do
	grep -q "^\.TH .*[ \"]$version\"" "$page" || fault "$(basename "$page"): not of version $version"
done

if command -v mandoc >/dev/null; then
	for page in "$man"/*.[1-8]; do
		mandoc -T lint -W warning "$page" >"$work/lint" || {
			cat "$work/lint"
			fault "$(basename "$page"): mandoc has warnings"
		}
	done
else
	echo "no mandoc here: the pages' syntax was not checked"
fi

# --- Counts ---------------------------------------------------------------------------------------------------------

# A new conformance case must not make a document wrong.
(cd "$srcdir" && grep -nE '^ *(1\.\.[0-9]+$|# [0-9]+ passed, )' README.md doc/*.md doc/*/*.md doc/man/*.[1-8]) >"$work/counts" && {
	cat "$work/counts"
	fault "these documents count the conformance cases; write N instead"
}

# --- Links ----------------------------------------------------------------------------------------------------------

# Links have the form [text](file), relative to the document.  Links in code or to other sites are not checked.
for document in $(cd "$srcdir" && ls README.md CONTRIBUTING.md SECURITY.md doc/*.md doc/*/*.md); do
	grep -v '^    ' "$srcdir/$document" | grep -oE '\]\([^)#: ]+\)' | tr -d '])(' >"$work/links"
	while read -r link; do
		test -e "$srcdir/$(dirname "$document")/$link" || fault "$document: there is no $link"
	done <"$work/links"
done

# --- Examples -------------------------------------------------------------------------------------------------------
#
# An example is a block that begins with a comment, /* NAME.c: ... */.  One that has ZPOOL_DRIVER_DEFINE is a plugin,
# one with a main() a program that ends with status 0, any other is only compiled.
#
# An example that is built in steps has several blocks: each block that begins with /* NAME.c, step N: ... is appended
# to the earlier ones, and a block that begins with /* NAME.c, the last lines */ completes the file of that step.
#
# The script also runs keep.c of README.md, which takes a driver's name, with each plugin.  The plugins of README.md and
# of the documents about writing a driver must pass the conformance tests, at every step.

# Writes each example of a document to directory $2, and the files of an example in steps to $2/step1, $2/step2, ...
extract() {
	awk -v directory="$2" '
		function write(file, text) { printf "%s", text > file; close(file) }
		/^(```|\.EE)/ && name {
			if (last) {
				place = directory "/step" ++steps[name]
				system("mkdir -p " place)
				write(place "/" name, body[name] text)
			} else if (step) {
				body[name] = body[name] text "\n"
			} else {
				write(directory "/" name, text)
			}
			name = ""
			next
		}
		/^(```c|\.EX)$/ { first = 1; next }
		first {
			first = 0
			if (match($0, /^\/\* [a-z_]+\.c[:,]/)) {
				name = substr($0, 4, RLENGTH - 4)
				text = ""
				step = $0 ~ /^[^,:]*, step [0-9]+:/
				last = $0 ~ /^[^,:]*, the last lines/
				if ($0 ~ /^[^,:]*,/ && !step && !last)
					name = ""
			}
		}
		name { text = text $0 "\n" }
	' "$1"
}

# Removes the escapes of man pages.
unescape() {
	sed -i 's/\\-/-/g; s/\\e/\\/g; s/^\\&//' "$1"
}

plugins=$work/plugins
mkdir "$plugins"
for plugin in "${ZPOOL_PLUGIN_PATH:-plugins/.libs}"/*.so; do
	test -f "$plugin" && cp "$plugin" "$plugins/"
done
ZPOOL_PLUGIN_PATH=$plugins
export ZPOOL_PLUGIN_PATH

# This directory has the headers in the layout of `make install'.
mkdir "$work/include"
ln -s "$(cd "$srcdir/libzpool" && pwd)"/zpool*.h "$work/include/"
ln -s "$(cd "$srcdir/libzpool/support" && pwd)" "$work/include/zpool-support"
ln -s "$(cd "$srcdir/store" && pwd)/zpool-store.h" "$work/include/"
flags="-std=gnu11 -O1 -g -Wall -Wextra -Werror -I$work/include"

# Runs a program of a document with arguments.  Its working directory is a temporary one, where it may leave files.
run() {
	(cd "$work" && timeout 60 "$@") >"$work/output" 2>&1 && return
	cat "$work/output"
	fault "$document: $(basename "$1").c ${2-} failed"
}

# Runs the conformance suite on a plugin: with the tool, which also checks the file, or with the program of the suite in
# a build without the tool.  A filter is tested on top of zbud only.
prove() {
	rm -rf "$work/alone"
	mkdir "$work/alone"
	cp "$plugins/$1.so" "$plugins/zbud.so" "$work/alone/"
	if test -x tools/zpoolctl && test -z "$(make_variable SANITIZER_CFLAGS)"; then
		set -- tools/zpoolctl check "$work/alone/$1.so"
	else
		set -- tests/contract/contract --driver "$2"
	fi
	echo "$document: conformance tests: $*"
	ZPOOL_PLUGIN_PATH=$work/alone timeout 1800 "$@" --ops 10000 >"$work/output" 2>&1 || {
		grep -v '^ok' "$work/output"
		fault "$document: a plugin fails the conformance tests: $*"
	}
	tail -n 1 "$work/output"
}

# Prints the spec for a plugin: a filter needs a driver below it.
spec_of() {
	case $(cat "$1") in
	*ZPOOL_DRIVER_FILTER*) echo "$(basename "$1" .c)+zbud" ;;
	*) basename "$1" .c ;;
	esac
}

for document in README.md doc/writing-a-driver/first-driver.md doc/writing-a-driver/filters.md \
	doc/writing-a-driver/porting.md doc/writing-a-driver/abi.md doc/man/zpool.3 doc/man/zpool-driver.7; do
	echo "$document: compiling and running its examples"
	place=$work/$(basename "$document").d
	mkdir "$place"
	extract "$srcdir/$document" "$place"
	programs=
	drivers=
	others=
	for example in "$place"/step*/*.c "$place"/*.c; do
		test -f "$example" || continue
		case $document in *.[0-9]) unescape "$example" ;; esac
		name=$(basename "$example" .c)
		if grep -q ZPOOL_DRIVER_DEFINE "$example"; then
			spec=$(spec_of "$example")
			drivers="$drivers $spec"
			$cc $flags -fPIC -fvisibility=hidden -shared -Wl,-z,now -o "$plugins/$name.so" "$example" \
				libzpool/libzpool-support.a ||
				fault "$document: the plugin $name.c does not compile"
			test -f "$plugins/zbud.so" || continue
			run "$work/README.md.d/keep" "$spec"
			case $document in README.md | doc/writing-a-driver/* | *.7) prove "$name" "$spec" ;; esac
		elif grep -q '^int main(' "$example"; then
			libraries=libzpool/libzpool.la
			if grep -q '^#include <zpool-store.h>' "$example"; then
				test -f store/libzpool-store.la || continue
				libraries="store/libzpool-store.la $libraries"
			fi
			programs="$programs $name"
			./libtool --silent --tag=CC --mode=link $cc $flags -o "$place/$name" "$example" $libraries ||
				fault "$document: the program $name.c does not compile"
		else
			others="$others $name"
			$cc $flags -c -o "$place/$name.o" "$example" || fault "$document: $name.c does not compile"
		fi
	done
	echo "$document: has programs:${programs:- none}, plugins:${drivers:- none}, others:${others:- none}"
	test -n "$programs$drivers$others" || fault "$document: has no example"
	test -f "$plugins/zbud.so" || continue
	for program in $programs; do
		run "$place/$program"
	done
done

# --- Outputs --------------------------------------------------------------------------------------------------------
#
# An output that a document quotes must have the shape of a real run: each line has the same words and columns, but may
# have other numbers, sizes, times and file names.

shape() {
	sed -E -e 's#(^| )\.{0,2}(/[A-Za-z0-9_.+-]+)+#\1PATH#g' -e 's/PATH( PATH)+/PATH/g' -e 's/\b[0-9]+(\.[0-9]+)?([BKMGT]|[nmu]?s)?\b/N/g' \
		-e 's/identical: .*/identical/' -e 's/ +/ /g' -e 's/^ //' -e 's/ $//' | grep .
}

# Prints the indented lines of document $1 from the first one that matches $2 to the next text or the next command.
quoted() {
	awk -v from="$2" '!on && /^    / && $0 ~ from { on = 1; print; next } on && /^(    \$ |[^ ])/ { exit } on' \
		"$srcdir/$1" | sed '/^    \$ /d'
}

# same_shape DOCUMENT FROM COMMAND...: checks that the output of the command contains all lines that are quoted from
# there
same_shape() {
	quoted "$1" "$2" | shape >"$work/quoted"
	document=$1
	from=$2
	shift 2
	COLUMNS=200 timeout 60 "$@" 2>&1 | shape >"$work/real"
	test -s "$work/quoted" || fault "$document: quotes no output from \"$from\" on"
	grep -vxF -f "$work/real" "$work/quoted" >"$work/missing" || return 0
	echo "these lines are quoted, with N for numbers and PATH for file names:"
	cat "$work/missing"
	echo "but the output of \"$*\" does not contain them:"
	cat "$work/real"
	fault "$document: the output quoted from \"$from\" on differs from that of a run"
}

if test -f "$plugins/zbud.so"; then
	same_shape README.md 'keep nosuch$' "$work/README.md.d/keep" nosuch
	same_shape README.md 'keep zbud:limt=1M$' "$work/README.md.d/keep" zbud:limt=1M
	if test -f "$work/README.md.d/tiles"; then
		same_shape README.md '/tiles$' "$work/README.md.d/tiles" "$work/tiles.img"
	fi
fi
# The tool's own sources serve as data.
if test -f "$plugins/zbud.so" && test -x tools/zpoolctl; then
	shelf=doc/writing-a-driver/first-driver.md
	# This is the order in which the tool lists the drivers.
	types=$(printf '%s\n' ${ZPOOL_TEST_DRIVERS:?} | LC_ALL=C sort | sed 's/^/--type /' | tr '\n' ' ')
	{
		tools/zpoolctl store $types "$srcdir/tools" "$srcdir/libzpool" 2>&1
		sed -n 's/^    say "\(.*\)"$/quickstart: \1/p' "$srcdir/quickstart.sh" | sed 's#\${[^}]*}#/input#'
	} >"$work/quickstart"
	same_shape README.md '^    quickstart: storing' cat "$work/quickstart"
	mkdir "$work/shelf"
	cp "$plugins/shelf.so" "$work/shelf/"
	ZPOOL_PLUGIN_PATH=$work/shelf
	same_shape $shelf 'zpoolctl list$' tools/zpoolctl list
	same_shape $shelf '^    PARAMETER TYPE' tools/zpoolctl info shelf
	same_shape $shelf 'store --type shelf --type shelf:pages=8' \
		tools/zpoolctl store --type shelf --type shelf:pages=8 "$srcdir/tools"
	same_shape $shelf 'store --type shelf --limit' tools/zpoolctl store --type shelf --limit 128K "$srcdir/tools"
	ZPOOL_PLUGIN_PATH=$plugins
fi
# The tool's sources and some zeroes serve as the archive for the disk.
nbdkit_plugin=$PWD/hosts/nbdkit/.libs/nbdkit-zpool-plugin.so
if test -f "$nbdkit_plugin" && test -f "$plugins/zsmalloc.so" && test -z "$(make_variable SANITIZER_CFLAGS)" &&
	command -v nbdkit >/dev/null && command -v nbdcopy >/dev/null && command -v nbdinfo >/dev/null; then
	(cd "$srcdir" && cat tools/*.c; head -c 65536 /dev/zero) >"$work/usr.tar"
	# shellcheck disable=SC2016 # nbdkit sets $uri
	{
		timeout 60 nbdkit -U - "$nbdkit_plugin" 16G compressor=zstd limit=4G stats="$work/disk-stats" \
			--run "nbdcopy --allocated '$work/usr.tar' "'"$uri"; nbdinfo --map --totals "$uri"'
		grep -E '^(total_bytes|ratio)=' "$work/disk-stats"
	} >"$work/disk" 2>&1 </dev/null
	same_shape README.md 'nbdkit -U - zpool 16G' cat "$work/disk"
	same_shape README.md "grep -E '.\(total_bytes" cat "$work/disk"
fi

test -f "$plugins/zbud.so" || echo "this build has no plugins: the examples were compiled, but not run"
test "$faults" -eq 0
