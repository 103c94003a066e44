#!/bin/sh
# SPDX-License-Identifier: MIT
#
# zpoolctl check: its reports in all formats, and its exit status. tests/check/faults.sh tests which faults it detects.

. "${srcdir:-.}/tests/tools/common.sh"
needs_children

# repeats NAME: the command that the last run printed for its only failed case fails with the same case
repeats()
{
    sed -n 's/^#   alone: *//p' "$work/out" >"$work/command"
    (cd / && sh "$work/command") >"$work/again" 2>"$work/err" || :
    case $(grep -c '^not ok' "$work/again") in
    1) is "$1" "$(sed -n 's/^not ok [0-9]* //p' "$work/out")" "$(sed -n 's/^not ok [0-9]* //p' "$work/again")" ;;
    *) is "$1" "one failed case" "$(cat "$work/again" "$work/err")" ;;
    esac
}

use_drivers crash exits copying trace zbud
file=$work/plugins/zbud.so
few="--case live_handles_differ --case compacted_space_is_reused --case node_is_only_a_preference"

run check --list
exits "the cases are listed" 0
prints "the list has the cases for files" "^  file_is_a_plugin +[A-Z].*\\.\$"
prints "the list has the cases for objects" "^  live_handles_differ +Handles are never 0"
prints "the list has the soak test" "^  soak +"
cases=$(grep -c '^  [a-z]' "$work/out")
run check --list --json
exits "the cases are listed as JSON" 0
silent "only JSON is printed"
is "a subject has cases" live_handles_differ "$(value subjects subject=objects cases case=live_handles_differ case)"
is "JSON and the table have the same number of cases" "$cases" "$(grep -c '"promise":' "$work/out")"

# shellcheck disable=SC2086
run check --seed 7 $few zbud
exits "a driver that keeps its promises is a success" 0
prints "the report is TAP" "^TAP version 13\$"
prints "the seed is printed" "^# seed 7\$"
prints "a case that passes is printed" "^ok [1-3] - zbud: live_handles_differ\$"
prints "a skipped case is printed with the reason" \
    "^ok [1-3] - zbud: compacted_space_is_reused # SKIP zbud cannot compact\$"
prints "the number of cases is printed" "^1\\.\\.3\$"
prints "the totals are printed" "^# 2 passed, 0 failed, 1 skipped\$"
silent "there is no message"

run check --case live_handles_differ zbud:reserve=64K
exits "a spec with parameters" 0
prints "the report has the complete spec" "^ok 1 - zbud:reserve=64K: live_handles_differ\$"

run check --case compacted_space_is_reused zbud
exits "a run that skips all cases is a failure" 1
warns "the reason is reported" "no test was run"

run check --jobs 1 --ops 2000 --seed 7 zbud
cp "$work/out" "$work/alone"
run check --jobs 4 --ops 2000 --seed 7 zbud
exits "cases that run at once" 0
is "the report is the same as if they ran one after the other" "$(cat "$work/alone")" "$(cat "$work/out")"
silent "no progress bar is printed without a terminal"
run check --jobs 0 zbud
exits "a number of jobs below 1 is a usage error" 2
for number in " 7" "+7" -7 0x10 7s ""; do
    run check --seed "$number" --case live_handles_differ zbud
    exits "the number \"$number\" is a usage error" 2
done
run check --seed 010 --case live_handles_differ zbud
prints "a number with a leading zero is decimal" "^# seed 10\$"

run check zbud:reserve=64K,limit=4M
exits "a limit in the spec is a usage error" 2
warns "the message tells the reason" "the conformance tests set limits of their own"
is "nothing was checked" "" "$(cat "$work/out")"

run check --no-fork --case live_handles_differ zbud
exits "cases run without processes of their own" 0

run check nowhere
exits "a missing driver is a failure" 1
prints "the message has the searched directories" "happened: .*$work/plugins"
prints "the other cases are left out" "^# nowhere: the driver cannot create a pool, so the other cases are left out\$"
run check "$work/plugins/nowhere.so"
exits "a missing file is a failure" 1
warns "the reason is reported" "nowhere.so: No such file"

run check --seed 7 crash
exits "a driver that crashes is a failure" 1
prints "the case fails" "^not ok [0-9]+ - crash: "
prints "the promise is printed" "^#   promised: [A-Z]"
prints "what happened is printed" "^#   happened: .*(SIGABRT|[Aa]borted)"
prints "the command that runs the case alone is printed" "^#   alone: .* check crash --case [a-z_]+ --seed 7 "
prints "the command for a debugger is printed" "^#   or with: .*gdb --args .* check crash --case [a-z_]+ --seed 7 .*--no-fork\$"
prints "the command for valgrind is printed" "^# .*valgrind .* check crash --case "
run check --fail-fast crash
is "--fail-fast ends the run at the first failure" 1 "$(grep -c '^not ok' "$work/out")"

run check exits
exits "a driver that exits is a failure" 1
prints "the exit of the driver is printed" "^#   happened: the process ended with status 0 in the middle of the case"

# shellcheck disable=SC2086
run check --json --seed 7 --junit "$work/report.xml" $few zbud
exits "the same as JSON and JUnit" 0
is "the seed" 7 "$(value seed)"
is "passed" 2 "$(value passed)"
is "failed" 0 "$(value failed)"
is "skipped" 1 "$(value skipped)"
is "a case that passes is printed" passed "$(value checks case=live_handles_differ result)"
is "a case that passes has no reason" null "$(value checks case=live_handles_differ reason)"
is "a case that is skipped" skipped "$(value checks case=compacted_space_is_reused result)"
is "a skipped case has its reason" "zbud cannot compact" "$(value checks case=compacted_space_is_reused reason)"
is "JUnit's sum" 1 "$(grep -c '<testsuite .*tests="3" failures="0" skipped="1"' "$work/report.xml")"
is "JUnit's cases" 3 "$(grep -c '<testcase classname="zbud" name="' "$work/report.xml")"
is "JUnit's reason" 1 "$(grep -c '<skipped message="zbud cannot compact"/>' "$work/report.xml")"

run check --json --seed 7 --junit "$work/report.xml" crash
exits "a crash as JSON and JUnit" 1
holds "the crash is counted" "$(value failed)" -ge 1
is "JUnit's failure" "$(value failed)" "$(grep -c '<failure message=".*">promised: ' "$work/report.xml")"
holds "JUnit has the command that runs the case" "$(grep -c '^alone: .* check .*crash' "$work/report.xml")" -ge 1
if command -v xmllint >/dev/null; then
    xmllint --noout "$work/report.xml" 2>"$work/err" || :
    silent "the report is XML"
fi
run check --junit "$work/no/such/directory" zbud
exits "a report that cannot be written is a failure" 1
warns "the failure is reported" "no/such/directory: cannot be written"
is "nothing was checked" "" "$(cat "$work/out")"

run check --stress 1 --case soak zbud
exits "the soak, for a second" 0
prints "only the soak test runs" "^ok 1 - zbud: soak\$"
run check --stress 1 --case live_handles_differ zbud
exits "a stress test that no --case names is a usage error" 2
warns "the message tells what is missing" "needs --case soak"

# The printed command works with any characters in the path, and in the build tree.
strange="$work/it's a \"dir\" \$HOME"
mkdir "$strange"
if [ -e "$work/plugins/crash.so" ]; then
    cp "$work/plugins/crash.so" "$strange"
    run check --fail-fast --seed 7 "$strange/crash.so"
    exits "a driver in a directory with quotes in its name" 1
    repeats "the printed command can be pasted into a shell"
    for others in "$work:$strange:/nowhere" "$work:/nowhere:$strange"; do
        ZPOOL_PLUGIN_PATH=$others
        run check --fail-fast --seed 7 "$strange/crash.so"
        ZPOOL_PLUGIN_PATH=$work/plugins
        prints "the printed path has the directory of the file once, at its beginning" "^#   alone: +ZPOOL_PLUGIN_PATH='[^:]*:$work:/nowhere' "
    done

    # The part of the path before the colon is a directory with a driver of this name, which must not be taken instead.
    mkdir "$work/colon" "$work/colon:"
    cp "$strange/crash.so" "$work/colon/"
    cp "$strange/crash.so" "$work/colon:/"
    run check "$work/colon:/crash.so"
    exits "a file in a directory with a colon in its name is a usage error" 2
    warns "the message tells the reason" "\"$work/colon:\" cannot be searched for plugins: its name has a colon"

    # The directory that with-plugins makes is gone when the command is repeated.
    with_plugins=$(cd "${srcdir:-.}/tests" && pwd)/with-plugins
    ZPOOL_TEST_MODULE=$builddir/tests/tools/mocks/.libs/crash.so
    export ZPOOL_TEST_MODULE
    status=0
    "$with_plugins" "$zpoolctl" check --fail-fast --seed 7 crash >"$work/out" 2>"$work/err" || status=$?
    exits "a driver that crashes is a failure with with-plugins too" 1
    repeats "the printed command can be repeated after with-plugins has ended"
    unset ZPOOL_TEST_MODULE
    "$with_plugins" "$zpoolctl" check --fail-fast --seed 7 "$strange/crash.so" >"$work/out" 2>"$work/err" || :
    repeats "a file can be checked again after with-plugins has ended"
fi
run check "$(printf 'zbud\nok 2 - made up # SKIP')"
prints_not "a newline in a name does not make a new line" "^ok 2 - made up"
run check trace
exits "a filter that needs a value is a failure without it" 1
warns "the message has the spec to give" "trace needs a value for its parameter \"file\": give a spec such as trace:file=VALUE"
prints_not "no case fails" "^not ok"
run check --case driver_is_found_by_its_name "trace:file=$work/trace+zbud"
prints "a spec with a path in it is not taken for a file" "^(not )?ok 1 - trace:file="

# The driver for a filter is found by the last directory of a path that is longer than a file name can be.
if [ -e "$file" ] && [ -e "$builddir/plugins/.libs/guard.so" ]; then
    mkdir "$work/filters" "$work/drivers"
    cp "$builddir/plugins/.libs/guard.so" "$work/filters/"
    cp "$file" "$work/drivers/"
    ZPOOL_PLUGIN_PATH=$(for i in $(seq 100 180); do
        printf '/nowhere/a_directory_that_does_not_exist_and_has_a_long_name_%s:' "$i"
    done)$work/drivers
    run check --case driver_is_found_by_its_name "$work/filters/guard.so"
    ZPOOL_PLUGIN_PATH=$work/plugins
    exits "a filter with a long plugin path" 0
    prints "the filter runs on the driver in the last directory" "^ok [0-9]+ - guard\\+zbud: driver_is_found_by_its_name\$"
fi

if [ -e "$file" ]; then
    unset ZPOOL_PLUGIN_PATH
    run check --case file_is_a_plugin --case file_can_be_unloaded_and_loaded_again --case node_is_only_a_preference "$file"
    exits "a file outside of the plugin path" 0
    prints "the file is checked" "^ok 1 - zbud: file_is_a_plugin\$"
    prints "the driver in the file is checked" "^ok 3 - zbud: node_is_only_a_preference\$"
    cd "$work/plugins" || exit 1
    run check --case file_is_a_plugin zbud.so
    exits "a file in the current directory can be checked" 0

    # The path of a directory can have 4095 characters. This one has 4090, which leaves too few for the file's name.
    mkdir "$work/deep"
    cd "$work/deep" || exit 1
    while deep=$(pwd -P) && [ ${#deep} -lt 4090 ]; do
        left=$((4090 - ${#deep} - 1))
        [ $left -le 200 ] || left=100
        name=$(printf "%${left}s" '' | tr ' ' d)
        mkdir "$name"
        cd "$name" || exit 1
    done
    cp "$file" .
    run check zbud.so
    exits "a file whose path is too long is a usage error" 2
    warns "the message tells the reason" 'the path of "zbud\.so" is too long'
    cd "$work/plugins" || exit 1

    cp zbud.so other.so
    run check other.so
    exits "a file with another driver's note is a failure" 1
    prints "the reason is reported" "happened: .*its note is that of driver \"zbud\""

    printf 'no ELF file' >text.so
    for case_name in file_is_a_plugin file_exports_only_its_driver file_is_bound_at_load_time; do
        run check --case $case_name text.so
        exits "a file that is not an ELF file fails $case_name" 1
        prints "the process does not crash" "happened: cases_file.c:"
    done
    # Every prefix of a plugin must be checked without a crash.
    for size in 0 1 16 63 64 65 1000 4096 10000; do
        head -c $size zbud.so >cut.so
        run check --case file_exports_only_its_driver --case file_is_bound_at_load_time cut.so
        exits "a plugin cut off after $size bytes fails" 1
        prints_not "the process does not crash" "killed by signal"
    done
    cd / || exit 1
fi
finish
