#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The help of the tool, and invalid command lines.

. "${srcdir:-.}/tests/tools/common.sh"

# shellcheck disable=SC2119 # no driver is used as a plugin
use_drivers
random_file "$work/file" 100

run --help
exits "--help succeeds" 0
prints "--help lists commands" "^  list "
commands=$(list_commands)
run --version
exits "--version succeeds" 0
prints "--version prints the versions of the tool and the library" \
    "^zpoolctl $PACKAGE_VERSION \(libzpool $PACKAGE_VERSION\)\$"
for command in $commands; do
    page=${abs_top_srcdir:?is the source tree, set by make check}/doc/man/zpoolctl.1
    is "the manual page has a section on $command" 1 "$(grep -cE "^\.SS zpoolctl $command( |$)" "$page")"
    holds "the synopsis of the manual page has $command" \
        "$(sed -n '/^\.SH SYNOPSIS/,/^\.SH DESCRIPTION/p' "$page" | grep -cx "\.B $command")" -ge 1
    [ "$command" != help ] || continue
    run "$command" --help
    exits "$command --help succeeds" 0
    prints "$command --help shows how to call it" "^Usage: zpoolctl $command "
    run "$command" --version
    exits "$command --version succeeds" 0
    prints "$command --version prints the version" "^zpoolctl $PACKAGE_VERSION "
    run "$command" --nonsense
    exits "$command with an unknown option is a usage error" 2
    warns "$command names the unknown option" "nonsense"
done

run --help
cp "$work/out" "$work/help"
run help
exits "help succeeds" 0
silent "help prints no message"
is "help is --help" "$(cat "$work/help")" "$(cat "$work/out")"
for command in $commands; do
    run "$command" --help
    cp "$work/out" "$work/help"
    run help "$command"
    exits "help $command succeeds" 0
    is "help $command is $command --help" "$(cat "$work/help")" "$(cat "$work/out")"
done

# usage NAME PATTERN ARGUMENT...: the exit status must be 2, a message must match, and standard output must be empty
usage()
{
    name=$1
    pattern=$2
    shift 2
    run "$@"
    exits "$name is a usage error" 2
    warns "$name is reported" "$pattern"
    is "$name: nothing is on standard output" "" "$(cat "$work/out")"
}

usage "no command" "give a command"
usage "help of an unknown command" 'no command "bogus"' help bogus
usage "help of two commands" "one command at a time" help list info
usage "help with an unknown option" "nonsense" help --nonsense
usage "standard input given twice" "standard input can be read only once" store - "$work/file" -
usage "standard input and a process" "either --pid or paths" store --pid 1 -
usage "an unknown command" 'no command "bogus"' bogus
usage "list with an argument" "list takes no arguments" list zbud
usage "info without a type" "give the name of a driver" info
usage "info with two types" "one driver at a time" info zbud libc
usage "info with a spec" "is not a driver's name" info zbud:limit=1M
usage "info with an empty name" "is not a driver's name" info ""
usage "new without a name" "give the name of the new driver" new
usage "new with two names" "give one name, not" new one two
usage "new with an empty directory" "--dir must name a directory" new --dir "" one
for name in "" A 1a _a -- a.b a/b ../a "a b" a:b "a
b" bool linux zpool zpool_x zp zp-x a23456789012345678901234567890123; do
    usage "new with the name \"$name\"" "cannot be a driver's name" new --dir "$work/new" -- "$name"
done
[ ! -e "$work/new" ] || {
    echo "FAILED: a directory was created for a refused name"
    failures=$((failures + 1))
}
for name in ${ZPOOL_TEST_TYPES:?lists the plugins, set by make check}; do
    run new --dir "$work/new" -- "$name"
    exits "new with the name $name, which libzpool ships, succeeds" 0
    warns "new warns about the name $name" "warning: libzpool ships a plugin \"$name\""
    rm -rf "$work/new"
done
run new --dir "$work/new" shelf
exits "new with a name of its own succeeds" 0
silent "new does not warn about an unused name"
rm -rf "$work/new"
# The value of an option may have any characters, and may look like an option.
for words in -d@ "-d @" --dir=@ "--dir @" "--di @" "--di=@"; do
    for directory in "$work/Übung" -ü; do
        # shellcheck disable=SC2046 # it is a list of words
        (cd "$work" && exec "$zpoolctl" new $(printf '%s' "$words" | sed "s|@|$directory|") shelf) >"$work/out" 2>"$work/err"
        status=$?
        exits "new $words with the directory $directory succeeds" 0
        is "the project is there" 1 "$(cd "$work" && find "./${directory##*/}" -name shelf.c | wc -l)"
        rm -rf "${work:?}/${directory##*/}"
    done
done
for word in -ü "-j$(printf '\233')" --ü "--nosuch=$(printf '\033[31m')" "--j$(printf '\007')" "-$(printf '\033')" \
    "-$(printf '\002')"; do
    usage "an option that is not printable" "there is no option \"-" list "$word"
    is "no control character is printed" "" "$(LC_ALL=C tr -d '\n -~' <"$work/err" | LC_ALL=C tr -d '\303\274')"
done
usage "an abbreviation of several options" "there is no option \"--t=" bench "--t=$(printf '\033[31m')"
is "no control character is printed" "" "$(LC_ALL=C tr -d '\n -~' <"$work/err")"
usage "check without a driver" "give the file or the name of a driver" check
usage "check with two drivers" "one driver at a time" check zbud libc
usage "check with an empty name" "name must not be empty" check ""
usage "a file that cannot be a driver's" "cannot be a plugin file" check "$work/file"
usage "a file whose name is not a driver type" "cannot be a plugin file" check "$work/9lives.so"
usage "an unknown case" 'no test case "bogus"' check --case bogus zbud
usage "a case about a file of a driver named" "tests a plugin file" check --case file_is_a_plugin zbud
usage "the soak without a time" "needs --stress" check --case soak zbud
for number in -1 x 1x 9223372036854775808 ""; do
    usage "a seed of \"$number\"" "--seed must be a number" check --seed "$number" zbud
    usage "a stress of \"$number\"" "--stress must be a number" check --stress "$number" zbud
    usage "a timeout of \"$number\"" "--timeout must be a number" check --timeout "$number" zbud
done
usage "store without a source" "nothing to store" store
usage "store with two sources" "either --pid or paths" store --pid 1 "$work/file"
usage "an empty path" "a path must not be empty" store ""
usage "a type of a replay given twice" "zbud is given twice" replay -t zbud -t zbud "$work/file"
usage "a type given twice" "zbud is given twice" store -t zbud -t zbud "$work/file"
usage "an unknown compressor" 'no compressor "gzip"' store -c gzip "$work/file"
usage "a level for lz4" "lz4 has no levels" store -c lz4:1 "$work/file"
usage "a level that zstd lacks" "the level of zstd must be" store -c zstd:99 "$work/file"
usage "a level that is not a number" "the level of zstd must be" store -c zstd:high "$work/file"
usage "a level that is missing" "the level of zstd must be" store -c zstd: "$work/file"
for unit in 0 1 511 768 128K 1T 99999999999999999999 -4096 4k x ""; do
    usage "a unit of \"$unit\"" "--unit must be a power of two" store --unit "$unit" "$work/file"
done
usage "a limit of 0" "--limit 0" store --limit 0 "$work/file"
for limit in -1 1X 1MM 17179869184G x ""; do
    usage "a limit of \"$limit\"" "--limit must be a size" store --limit "$limit" "$work/file"
done
for pid in 0 -1 x 1x 99999999999 ""; do
    usage "a pid of \"$pid\"" "--pid must be" store --pid "$pid"
done
usage "a timeout of 0" "--timeout must be" store --timeout 0 "$work/file"
usage "two limits for one pool" "has a limit of its own" store -l 1M -t zbud:limit=2M "$work/file"
usage "two limits for one stack" "has a limit of its own" store -l 1M -t guard:a=1,limit=2M+zbud "$work/file"

if ! is_linked_in libc; then
    run store "$work/file"
    exits "no driver at all is a failure" 1
    warns "the message without any driver has the path" "no driver found in $work/plugins"
fi
if [ -w /dev/full ]; then
    status=0
    "$zpoolctl" list --json >/dev/full 2>"$work/err" || status=$?
    exits "a full standard output is a failure" 1
    warns "a full standard output is reported" "cannot write to standard output"
fi
finish
