#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl list: drivers, files with faults, plugins without a note.

. "${srcdir:-.}/tests/tools/common.sh"

use_drivers noteless copying zbud crash sieve
echo "this is not a shared object" >"$work/plugins/broken.so"
chmod 644 "$work/plugins/broken.so"
echo "this is not a plugin" >"$work/plugins/README"

run list
exits "list succeeds even if there are faults" 0
silent "list prints no message"
prints "the table has a header" "^TYPE +KIND +VERSION +ABI +LOADED +FROM +DESCRIPTION +FAULT"
prints "a driver's note is shown" "^copying +driver +1\.0 +1\.[0-9]+ +no +$work/plugins/copying\.so +reads and writes"
prints "a real driver is shown" "^zbud +driver +[0-9]"
prints "a plugin without a note is shown as such" "^noteless +driver +- +- +no .*\(has no plugin note\)"
prints "a file that is not a plugin is shown with its fault" "^broken +- +- .*ELF"
prints_not "a file whose name is not a plugin's is not shown" "README"
prints "a filter is shown as one although it is not loaded" "^sieve +filter "
is "nothing is shown twice" 7 "$(wc -l <"$work/out")"

run list --json
exits "list --json succeeds" 0
silent "list --json prints no message"
is "all drivers are in the JSON" 6 "$(value drivers length)"
is "the plugin path is in the JSON" "$work/plugins" "$(value plugin_path)"
is "a driver's kind" driver "$(value drivers type=copying kind)"
is "a filter's kind" filter "$(value drivers type=sieve kind)"
is "the kind is read without a note" driver "$(value drivers type=noteless kind)"
is "the kind is null if the file does not show it" null "$(value drivers type=broken kind)"
is "origin" "plugin" "$(value drivers type=copying origin)"
is "path" "$work/plugins/copying.so" "$(value drivers type=copying path)"
is "version" "1.0" "$(value drivers type=copying version)"
case $(value drivers type=copying abi) in
    '{"major":1,"minor":'[0-9]*'}') report ok "ABI" ;;
    *) report no "ABI" "it is $(value drivers type=copying abi)" ;;
esac
is "description" "reads and writes, and maps nothing" "$(value drivers type=copying description)"
is "no fault" null "$(value drivers type=copying fault)"
is "nothing was loaded" false "$(value drivers type=copying loaded)"
is "note" true "$(value drivers type=copying has_note)"
is "no note" false "$(value drivers type=noteless has_note)"
is "no version without a note" null "$(value drivers type=noteless version)"
is "no ABI without a note" null "$(value drivers type=noteless abi)"
is "no fault in a plugin without a note" null "$(value drivers type=noteless fault)"
case $(value drivers type=broken fault) in
    *ELF*) report ok "the fault is in the JSON" ;;
    *) report no "the fault is in the JSON" "it is $(value drivers type=broken fault)" ;;
esac

use_drivers minor
run list
prints "a large minor version of the ABI is shown as it is" "^minor +driver +1\.0 +1\.4294967295 "
run list --json
is "so is it in the JSON" 4294967295 "$(value drivers type=minor abi minor)"
use_drivers noteless copying zbud crash sieve
echo "this is not a shared object" >"$work/plugins/broken.so"
chmod 644 "$work/plugins/broken.so"

chmod o+w "$work/plugins/noteless.so"
run list
prints "an untrusted file is shown as not read" "^noteless +- +- +- +no .*\(not read\).*world-writable"
run list --json
is "an untrusted file was not read" false "$(value drivers type=noteless file_read)"
is "it is unknown whether an untrusted file has a note" null "$(value drivers type=noteless has_note)"
is "a file without a note was read" true "$(value drivers type=broken file_read)"
chmod o-w "$work/plugins/noteless.so"

rm "$work/plugins/broken.so"
run list
prints_not "the column for faults is left out if there are none" "FAULT"

rm "$work/plugins/"*.so
run list
exits "an empty directory is not a failure" 0
warns "an empty directory is reported" "no driver found in $work/plugins"
run list --json
is "an empty list is valid JSON" 0 "$(value drivers length)"

# shellcheck disable=SC2088 # the tilde must not be expanded
for path in plugins ./plugins "$work/plugins:plugins" "~/plugins"; do
    ZPOOL_PLUGIN_PATH=$path run list
    exits "the plugin path \"$path\" is refused" 2
    warns "the message names the entry that is not absolute" "ZPOOL_PLUGIN_PATH: \"${path##*:}\" cannot be a plugin directory"
done

# A plugin path can be longer than a file name can be.
use_drivers zbud
long=$(for i in $(seq 100 180); do
    printf '/nowhere/a_directory_that_does_not_exist_and_has_a_long_name_%s:' "$i"
done)$work/plugins
ZPOOL_PLUGIN_PATH=$long
run list --json
exits "list succeeds with a long plugin path" 0
is "a long plugin path is complete" "$long" "$(value plugin_path)"
ZPOOL_PLUGIN_PATH=${long%:*}
is_linked_in libc || {
    run list
    warns "a long plugin path is complete in a message" "no driver found in /nowhere/.*_name_180; set"
}

# On a terminal of 60 columns no line is longer, and the message names the columns that are left out.
use_drivers noteless copying zbud sieve
for command in "list" "info zbud" "check --list"; do
    # shellcheck disable=SC2086 # it is a list of words
    COLUMNS=60 run $command
    exits "$command succeeds on 60 columns" 0
    is "$command fits 60 columns" "" "$(awk 'length > 60' "$work/out")"
done
COLUMNS=60 run list
warns "the message names the columns that are left out" "too narrow for .*FROM.*--json"
prints "the remaining columns are complete" "^sieve +filter .*a filter"
run list
silent "nothing is left out in a pipe"
finish
