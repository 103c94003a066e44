#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Trace files from other users must not choose what code zpoolctl runs or which files it writes.

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"
needs_children

forge=$builddir/tests/tools/forge
use_drivers trace fault guard zsmalloc zbud z3fold zblock libc copying crash
: >"$work/out"
: >"$work/err"

# forge SPEC [LIMIT]: makes the trace $work/foreign.trace of the calls on standard input
forge()
{
    "$forge" "$@" >"$work/foreign.trace" || report no "forging $1" "exit status $?"
}

few_calls()
{
    printf '%s\n' 'malloc 100 0' 'map 1 2' 'unmap 1' 'map 1 0' 'unmap 1' 'free 1'
}

# --- A recorded spec that names a file -------------------------------------------------------------------------------

echo precious >"$work/precious"
for spec in "trace:file=$work/precious,overwrite=yes+zbud" "guard+trace:overwrite=yes,file=$work/precious+zbud" \
    "trace:fi%6Ce=$work/precious,overwrite=yes+zbud" "trace:file=$work/new+zsmalloc:limit=1M" \
    "trace:overwrite=yes,%66ile=$work/%70recious+fault+libc"; do
    few_calls | forge "$spec"
    run replay "$work/foreign.trace"
    exits "$spec is refused" 1
    warns "the message says what to do" 'parameter "file" of trace may name a file, .*give --type'
    is "the file has not changed" precious "$(cat "$work/precious")"
    is "no other file was created" "" "$(find "$work" -name new)"
    run replay --type zbud "$work/foreign.trace"
    exits "with --type it is replayed" 0
done

# --- A recorded spec that names other code ---------------------------------------------------------------------------

# The driver `copying' works and `crash' does not; neither of them is one of libzpool's own.
for spec in copying guard+copying crash fault+crash nosuch; do
    few_calls | forge "$spec"
    run replay "$work/foreign.trace"
    exits "$spec is refused" 1
    warns "the message names the driver" "recorded with \"${spec#*+}\", which is not one of libzpool's own.*give --type"
done
for spec in ../zbud zb%75d /tmp/zbud zbud.so Zbud '' + zbud+ 'zbud:limit' "$(printf 'zbud:limit=\0331')" \
    "$(printf 'zbud:a=\351')" a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+a+zbud; do
    few_calls | forge "$spec"
    run replay "$work/foreign.trace"
    exits "\"$(printf %s "$spec" | tr -dc ' -~')\" is refused" 1
    warns "the message says what to do" 'the recorded spec is not valid; give --type'
    is "no byte of the spec reaches the terminal" "" "$(tr -d ' -~\n' <"$work/err")"
done
few_calls | forge zbud:nosuch=1
run replay "$work/foreign.trace"
exits "an unknown parameter is refused" 1
warns "the message has the parameter" 'has no parameter "nosuch"'
few_calls | forge trace+zbud
run replay "$work/foreign.trace"
exits "a trace without a file is refused" 1

# Drivers of libzpool that cannot be asked for their parameters: one is not installed, and one kills the process that
# loads it. The plugin of the second is a mock whose name, of the same length, is replaced.
if ! is_linked_in zblock; then
    use_drivers zbud lethal
    few_calls | forge zblock:limit=1M
    run replay "$work/foreign.trace"
    exits "a driver that is not installed is a failure" 1
    warns "the message has the file that is missing" "zblock:limit=1M: .*$work/plugins/zblock\\.so"
    warns "the message has the available drivers" '^Available drivers: lethal, zbud\.'
    LC_ALL=C sed 's/lethal/zblock/g' "$work/plugins/lethal.so" >"$work/plugins/zblock.so"
    run replay "$work/foreign.trace"
    exits "a driver that ends its process is a failure" 1
    warns "the message says what to do" \
        'zblock:limit=1M: killed by SIG(KILL|ABRT).* before it could be determined whether the spec names a file; give --type'
    use_drivers trace fault guard zsmalloc zbud z3fold zblock libc copying crash
fi

# --- The memory that a trace may use --------------------------------------------------------------------------------

# This trace removes the limit of its header, and then allocates 10 TiB.  A sanitizer ends the process then.
if [ -z "${SANITIZER_CFLAGS:-}" ]; then
    printf '%s\n' 'set_limit 0' 'times 655360 malloc 16777216 0' | forge libc 1048576
    run replay --json "$work/foreign.trace"
    is "more memory than is available is refused" 1 "$([ "$(value drivers 0 failed no_memory)" -gt 0 ] && echo 1)"
fi

# --- Traces that are accepted
# ---------------------------------------------------------------------------------------------

for spec in zbud z3fold zblock libc zsmalloc:chain=4 guard:redzone=32+zsmalloc guard+fault:malloc_share=0+zbud \
    zbud:limit=1M; do
    few_calls | forge "$spec" 2097152
    run replay --json "$work/foreign.trace"
    exits "$spec is replayed" 0
done
is "a limit in the spec is kept" "zbud:limit=1M" "$(value drivers 0 spec)"
few_calls | forge "zbud:l%69mit=1M" 2097152
run replay --json "$work/foreign.trace"
is "a limit with an escaped key is kept" "zbud:l%69mit=1M" "$(value drivers 0 spec)"
run store --limit 64K --type zbud:l%69mit=1M "$work/precious"
exits "store finds the limit, too" 2
warns "the message mentions the limit" "has a limit of its own"
finish
