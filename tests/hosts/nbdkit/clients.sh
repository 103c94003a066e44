#!/bin/sh
# SPDX-License-Identifier: MIT
#
# clients.sh - nbdinfo, nbdcopy, qemu-img, mkfs.ext4, e2fsck and debugfs work on a disk

. "${srcdir:-.}/tests/hosts/nbdkit/common.sh"
needs nbdcopy libnbd-bin
needs qemu-img qemu-utils
needs mkfs.ext4 e2fsprogs
needs debugfs e2fsprogs

start disk "$plugin" 64M compressor=zstd:1 stats="$work/disk.stats" || finish

works "nbdinfo reads the disk's properties" nbdinfo "$(uri disk)"
prints "the disk has the size that was requested" 'export-size: 67108864 \(64M\)'
for property in can_cache can_fast_zero can_flush can_fua can_multi_conn can_trim can_zero; do
    prints "$property" "$property: true"
done
prints "the disk accepts requests of any length" 'block_size_minimum: 1$'
prints "the disk prefers requests of a unit" 'block_size_preferred: 4096$'
works "nbdinfo reads the map" nbdinfo --map "$(uri disk)"
prints "a new disk is one hole" '^ *0 +67108864 +3 +hole,zero'

# The image contains random data, repetitive text, zeroes and a hole.
text_file "$work/image" 16777216
dd if=/dev/urandom of="$work/image" bs=1M seek=16 count=4 2>/dev/null
dd if=/dev/zero of="$work/image" bs=1M seek=20 count=4 2>/dev/null
truncate -s 64M "$work/image"

works "nbdcopy writes an image" nbdcopy --connections=8 "$work/image" "$(uri disk)"
works "nbdcopy reads the image" nbdcopy --connections=8 "$(uri disk)" "$work/copy"
same "the copies are identical" "$work/image" "$work/copy"
works "qemu-img finds the image and the disk equal" qemu-img compare -f raw -F raw "$work/image" "$(uri disk)"
works "qemu-img reads the map" qemu-img map -f raw --output=json "$(uri disk)"
prints "the map contains data" '"start": 0,.*"data": true'
stats disk
holds "text takes less memory than its length" "$(stat_of disk total_bytes)" -lt 14000000

start other "$plugin" 64M unit=16K
works "qemu-img converts to another disk" qemu-img convert -n -f raw -O raw -W "$(uri disk)" "$(uri other)"
works "qemu-img finds the disks equal" qemu-img compare -f raw -F raw "$(uri disk)" "$(uri other)"
works "nbdcopy reads the other disk" nbdcopy "$(uri other)" "$work/copy"
same "the converted image is identical" "$work/image" "$work/copy"
stop other

# The file system is created and used through qemu-img, which needs no privilege.
truncate -s 64M "$work/fs"
works "mkfs.ext4 makes a file system" mkfs.ext4 -q -F -E nodiscard "$work/fs"
works "debugfs writes a file" debugfs -w -R "write $work/image text" "$work/fs"
works "qemu-img copies the file system to the disk" qemu-img convert -n -f raw -O raw "$work/fs" "$(uri disk)"
rm "$work/fs"
works "qemu-img copies the file system back" qemu-img convert -f raw -O raw "$(uri disk)" "$work/fs"
works "e2fsck finds no fault" e2fsck -fn "$work/fs"
works "debugfs reads the file" debugfs -R "dump text $work/text" "$work/fs"
same "the file is identical" "$work/image" "$work/text"

# The same steps run on the disk itself, where FUSE is available.
mkdir "$work/mount"
# shellcheck disable=SC2317 # the trap calls it
unmount()
{
    fusermount3 -u "$work/mount" 2>/dev/null || fusermount -u "$work/mount" 2>/dev/null || umount "$work/mount"
}
if command -v nbdfuse >/dev/null && [ -w /dev/fuse ]; then
    timeout 60 nbdfuse "$work/mount" "$(uri disk)" >"$work/fuse.log" 2>&1 </dev/null &
    for _ in $(seq 300); do
        [ ! -e "$work/mount/nbd" ] || break
        kill -0 "$!" 2>/dev/null || break
        sleep 0.1
    done
fi
if [ -e "$work/mount/nbd" ]; then
    trap 'unmount; clean_up' EXIT
    disk=$work/mount/nbd
    works "mkfs.ext4 makes a file system on the disk" mkfs.ext4 -q -F "$disk"
    works "debugfs writes a file to the disk" debugfs -w -R "write $work/image text" "$disk"
    works "e2fsck finds no fault on the disk" e2fsck -fn "$disk"
    works "debugfs reads the file from the disk" debugfs -R "dump text $work/text2" "$disk"
    same "the file on the disk is identical" "$work/image" "$work/text2"
    unmount
    trap clean_up EXIT
else
    echo "skipped: a file system on the disk itself, because nbdfuse cannot be used here"
fi

stop disk
is "nbdkit exits with status 0" 0 "$?"

# A client requests the map of a larger disk in steps of 4 GiB less one byte.
start large "$plugin" 5T || finish
works "nbdinfo reads the map of 5 TiB" nbdinfo --map --totals "$(uri large)"
prints "all of it is a hole" '5497558138880 +100.0% +3 +hole,zero'
works "nbdcopy writes an image to the large disk" nbdcopy "$work/image" "$(uri large)"
works "nbdinfo reads the map again" nbdinfo --map --totals "$(uri large)"
prints "the map contains the image's data" '^ *20971520 +0.0% +0 +data'
stop large
is "nbdkit with the large disk exits with status 0" 0 "$?"
finish
