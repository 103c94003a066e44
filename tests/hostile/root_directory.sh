#!/bin/sh
# SPDX-License-Identifier: MIT
#
# root_directory.sh - plugins in the root directory, as in a container into which one file is mounted
#
# The root is a small file system in memory, in a mount namespace that ends with this script. All directories of the real
# root are mounted on it.

# shellcheck source=tests/hostile/private_mounts.sh
. "${srcdir:-.}/tests/hostile/private_mounts.sh"
needs_children
use_drivers zbud guard
[ -e "$work/plugins/guard.so" ] || {
    echo "skipped: the drivers are linked in"
    exit 77
}
root=$work/root
mount_memory 16m "$root"
for directory in /*; do
    if [ -L "$directory" ]; then
        cp -P "$directory" "$root/"
    elif [ -d "$directory" ]; then
        mkdir -p "$root$directory"
        mount --rbind "$directory" "$root$directory" 2>>"$work/err" || :
    fi
done
cp "$work/plugins/zbud.so" "$work/plugins/guard.so" "$root/"

# run_there ARGUMENT...: like run, with the other root
run_there()
{
    status=0
    chroot "$root" "$zpoolctl" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
}

cases='--case file_is_a_plugin --case file_can_be_unloaded_and_loaded_again --case driver_is_found_by_its_name'
for rest in "" "$work/plugins"; do
    ZPOOL_PLUGIN_PATH=$rest
    # shellcheck disable=SC2086 # it is a list of words
    run_there check $cases /zbud.so
    exits "a plugin in the root directory can be checked (ZPOOL_PLUGIN_PATH=$rest)" 0
    prints "the library finds the driver in the file" '^ok 1 - zbud: file_is_a_plugin$'
done
ZPOOL_PLUGIN_PATH=/
# shellcheck disable=SC2086
run_there check $cases /guard.so
exits "a filter in the root directory runs on the drivers there" 0
run_there list --json
is "the path has one slash" /zbud.so "$(value drivers type=zbud path)"
run_there info nosuch
warns "a driver that is not there is named with one slash, too" ' /nosuch\.so'
finish
