# shellcheck shell=sh
# SPDX-License-Identifier: MIT
#
# private_mounts.sh - what the scripts that mount file systems share
#
# A script that includes this file runs again in a mount namespace that ends with it. tests/tools/common.sh is included
# there as well.

if [ -z "${ZPOOL_TEST_PRIVATE_MOUNTS:-}" ]; then
    # In a user namespace the owners of directories are unknown, and no plugin is trusted.
    [ "$(id -u)" -eq 0 ] || {
        echo "skipped: only root can mount a file system without a user namespace"
        exit 77
    }
    unshare --mount --propagation private true 2>/dev/null || {
        echo "skipped: a mount namespace cannot be made here"
        exit 77
    }
    ZPOOL_TEST_PRIVATE_MOUNTS=1
    export ZPOOL_TEST_PRIVATE_MOUNTS
    exec unshare --mount --propagation private sh "$0"
fi

# shellcheck source=tests/tools/common.sh
. "${srcdir:-.}/tests/tools/common.sh"

# mount_memory SIZE DIRECTORY: makes the directory, in $work, and mounts a file system in memory on it, or skips the test
mount_memory()
{
    mkdir "$2"
    mount -t tmpfs -o "size=$1,mode=755" none "$2" 2>"$work/err" || {
        cat "$work/err"
        echo "skipped: a file system cannot be mounted here"
        exit 77
    }
    # Directories cannot be removed while file systems are mounted there.
    trap 'umount -R "$work"/*/ 2>/dev/null; rm -rf "$work"' EXIT
}
