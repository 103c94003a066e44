#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Text that comes from a plugin, a file or a command line must never send a control character to the terminal.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

use_drivers hostile sieve trace libc
# No output may contain these bytes: C0 controls except the newline, DEL, C1 controls in UTF-8, and characters that
# change the direction of text or separate lines.
controls=$(printf '[\001-\011\013-\037\177]|\302[\200-\237]|\342\200[\213\216\217\250-\256]|\342\201[\240-\257]')
bad=$(printf '\033[31m\033]0;owned\007\010\015\177\302\2332J\342\200\256drow\342\201\246\342\200\250\377\300\233\233')

# harmless NAME: neither output of the last run may contain anything that acts on a terminal, and both must be valid
# UTF-8
harmless()
{
    for stream in out err; do
        if LC_ALL=C grep -Eaq -e "$controls" "$work/$stream"; then
            report no "$1: no control characters in $stream" "$(LC_ALL=C grep -Ean -e "$controls" "$work/$stream" |
                LC_ALL=C tr -c ' -~\n' '?' | head -n 3)"
        elif ! iconv -f UTF-8 -t UTF-8 "$work/$stream" >/dev/null 2>&1; then
            report no "$1: valid UTF-8 in $stream" "it is not valid"
        else
            report ok "$1: $stream is harmless"
        fi
    done
    # In a locale that is not UTF-8, all output must be ASCII.
    [ "$locale" != C ] || is "$1: ASCII in the C locale" "" "$(LC_ALL=C grep -Ea '[^ -~]' "$work/out" "$work/err")"
}

in_locale()
{
    locale=$1
    LC_ALL=$locale
    export LC_ALL
    echo "# in the locale $locale"

    : >"$work/plugins/$bad.so"
    run list
    exits "list succeeds" 0
    harmless "list"
    prints "list shows the description, escaped" 'description \\x1b\[31m\\x1b\]0;owned\\x07'
    run list --json
    harmless "list --json"
    is "list --json is JSON, and has the path to the byte where it can" "$work/plugins/hostile.so" \
        "$(value drivers type=hostile path)"
    rm "$work/plugins/$bad.so"
    # A path can have a DEL and still be valid UTF-8.
    ZPOOL_PLUGIN_PATH=$work/plugins:$work/$(printf 'del\177')
    run list --json
    harmless "list --json with a DEL in the plugin path"
    is "the DEL is escaped, so the path is complete" "$ZPOOL_PLUGIN_PATH" "$(value plugin_path)"
    ZPOOL_PLUGIN_PATH=$work/plugins

    run info hostile
    exits "info succeeds" 0
    harmless "info"
    prints "info shows the version and the description, escaped" '^hostile 1\.0\\x1b\[31m.*: description \\x1b\[31m'
    prints "info shows a default, escaped" 'default\\x1b\[31m'
    prints "info shows a choice, escaped" 'works, create, malloc, hostile\\x1b'
    run info --json hostile
    exits "info --json succeeds" 0
    harmless "info --json"
    is "info --json has the parameters" enum "$(value parameters key=mode type)"
    run info "$bad"
    harmless "info of a hostile name"

    random_file "$work/$bad" 8192
    ZPOOL_DEBUG=1 run store -t hostile --stats "$work/$bad"
    exits "store succeeds" 0
    harmless "store"
    warns "the log shows what a driver logs, escaped" 'logged \\x1b\[31m'
    run store -t hostile --json "$work/$bad"
    harmless "store --json"
    is "store --json is JSON" identical "$(value drivers 0 result)"
    run store -t hostile:mode=create "$work/$bad"
    exits "a create that fails is a failure" 1
    harmless "a create that fails"
    warns "the driver's sentence is shown, escaped" 'create failed \\x1b\[31m'
    run store -t hostile:mode=malloc "$work/$bad"
    exits "a malloc that fails is a failure" 1
    harmless "a malloc that fails"
    prints "the driver's sentence is in the table, escaped" 'malloc failed \\x1b\[31m'
    run store -t hostile:mode=malloc --json "$work/$bad"
    harmless "a malloc that fails, as JSON"
    is "its result is in the JSON" failed "$(value drivers 0 result)"
    run store -t "hostile:text=$bad" --stats "$work/$bad"
    harmless "a hostile spec"
    run store -t "$bad" "$work/$bad"
    harmless "an invalid type"
    run store "$work/nowhere$bad"
    harmless "a missing file"
    run store --sizes "$work/nowhere/$bad" "$work/$bad"
    harmless "sizes that cannot be written"

    run check --case empty_pool_works "hostile:mode=create,text=$bad"
    exits "check of a driver that creates no pool fails" 1
    harmless "check"
    run check --json --junit "$work/junit" "hostile:mode=create,text=$bad"
    harmless "check --json"
    cp "$work/junit" "$work/out"
    harmless "JUnit"
    run check --junit "$work/junit" 'hostile:mode=create,text=<a&b>"c"'
    cp "$work/junit" "$work/out"
    prints "JUnit has no markup of a driver" '&lt;a&amp;b&gt;&quot;c&quot;'
    run check "$work/$bad.so"
    harmless "check of a file"
    run check --case "$bad" hostile
    harmless "check of an invalid case"

    run new --dir "$work/project$bad" shelf
    exits "new succeeds" 0
    harmless "new"
    run new --dir "$work/project$bad" shelf
    harmless "new where the directory exists"
    rm -rf "$work/project$bad"
    run new -- "$bad"
    harmless "new with an invalid name"
    run replay "$work/$bad"
    harmless "replay of a file that is not a trace"
    run store -t "trace:file=$work/$bad.trace+libc" "$work/$bad"
    exits "a trace with a hostile name is recorded" 0
    run replay "$work/$bad.trace"
    exits "and replayed" 0
    harmless "replay"
    run replay --json "$work/$bad.trace"
    harmless "replay --json"
    rm "$work/$bad.trace"
    run "$bad"
    harmless "an unknown command"
    run "--$bad"
    exits "an unknown option is a usage error" 2
    harmless "an unknown option"
    run list "-$bad"
    harmless "an unknown short option"
    rm "$work/$bad"
}

in_locale C
in_locale C.UTF-8
finish
