#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The completion for bash.

. "${srcdir:-.}/tests/tools/common.sh"

library=/usr/share/bash-completion/bash_completion
{ command -v bash && [ -r $library ]; } >/dev/null || {
    echo "there is no bash-completion"
    exit 77
}
use_drivers copying zbud sieve
: >"$work/some-file"
mkdir "$work/some-directory"
: >"$work/own.so"
srcdir=$(cd "${srcdir:-.}" && pwd)

# completes NAME EXPECTED WORD...: checks the completions of the last word
completes()
{
    name=$1
    expected=$2
    shift 2
    actual=$(cd "$work" && bash -c '
        . "$1"
        . "$2"
        shift 2
        COMP_WORDS=("$@")
        COMP_CWORD=$(($# - 1))
        COMP_LINE="$*"
        COMP_POINT=${#COMP_LINE}
        _zpoolctl "$1" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}" 2>&1
        echo "${COMPREPLY[@]}"
    ' bash $library "$srcdir/tools/completion/zpoolctl" "$@")
    is "$name" "$expected" "$actual"
}

: >"$work/out"
: >"$work/err"
commands=$(list_commands)
completes "commands" "$(echo "$commands" | tr '\n' ' ' | sed 's/ $//')" "$zpoolctl" ""
completes "commands for help" "replay" "$zpoolctl" help re
completes "a command's beginning" "store" "$zpoolctl" st
completes "options before a command" "--help" "$zpoolctl" --h
completes "drivers for info" "copying sieve zbud" "$zpoolctl" info ""
completes "drivers for --type" "zbud" "$zpoolctl" store --type z
completes "a filter for --type" "sieve+" "$zpoolctl" store --type si
completes "drivers and filters for --type" "copying zbud sieve+" "$zpoolctl" store --type ""
completes "types after a filter" "sieve+zbud" "$zpoolctl" store --type sieve+z
completes "every type after a filter" "sieve+copying sieve+zbud sieve+sieve+" "$zpoolctl" store --type sieve+
completes "types after a filter with parameters" "limit=1M+zbud" "$zpoolctl" store --type sieve:limit=1M+z
completes "keys after a colon" "limit=" "$zpoolctl" store --type zbud:l
completes "keys after a filter" "reserve= limit=" "$zpoolctl" replay --type sieve+zbud:
completes "no values" "" "$zpoolctl" store --type zbud:limit=
completes "a spec for check" "sieve+zbud" "$zpoolctl" check sieve+z
completes "statistics" "--stats" "$zpoolctl" store --st
completes "compressors" "zstd zstd:1 zstd:3 zstd:9 zstd:19" "$zpoolctl" store -c zs
completes "files" "some-file" "$zpoolctl" store some-fi
completes "directories for --dir" "some-directory" "$zpoolctl" new --dir some
completes "drivers for check" "copying" "$zpoolctl" check co
completes "plugins for check" "own.so" "$zpoolctl" check ow
completes "cases" "soak" "$zpoolctl" check --case so
completes "workloads" "fill" "$zpoolctl" bench -w fil
completes "every workload" "fill churn long-churn read drop pair transfer evict miss stall" "$zpoolctl" bench --workload ""
completes "peers" "jemalloc" "$zpoolctl" bench --peer j
completes "drivers for bench" "zbud" "$zpoolctl" bench --type z
completes "distributions" "lz4" "$zpoolctl" bench --sizes l
completes "files with sizes" "some-file" "$zpoolctl" bench --sizes some-fi
completes "a trace" "some-file" "$zpoolctl" replay some-fi
for command in $commands; do
    for option in $("$zpoolctl" "$command" --help | grep -o -- '--[a-z][a-z-]*' | sort -u); do
        completes "$command $option" "$option" "$zpoolctl" "$command" "$option"
    done
done
finish
