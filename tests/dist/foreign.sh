#!/bin/sh
# SPDX-License-Identifier: MIT
#
# foreign.sh SRCDIR musl|aarch64|i386 - build for another C library or machine, and run the tests that work there
#
# The build is in ./foreign-NAME. Debian has no libltdl for these systems, so it is built from the sources in Debian's
# package libtool. Check is missing too, so the tests that need it and zpoolctl are left out. Programs for another
# machine run under qemu-user if this machine cannot run them. The build is configured only once, so a second run
# rebuilds only what changed.
set -eu

die() {
    printf 'foreign.sh: %s\n' "$*" >&2
    exit 1
}

# need PROGRAM PACKAGE
need() {
    command -v "$1" >/dev/null || die "$1 is not installed (Debian: $2)"
}

srcdir=$(cd "$1" && pwd)
name=$2
run=
case $name in
musl)
    need musl-gcc musl-tools
    host=$(uname -m)-linux-musl
    cc=musl-gcc
    ;;
aarch64)
    need aarch64-linux-gnu-gcc 'gcc-aarch64-linux-gnu and libc6-dev-arm64-cross'
    need qemu-aarch64-static qemu-user-static
    host=aarch64-linux-gnu
    cc=$host-gcc
    run="qemu-aarch64-static -L /usr/$host"
    ;;
i386)
    need i686-linux-gnu-gcc 'gcc-i686-linux-gnu and libc6-dev-i386-cross'
    host=i686-linux-gnu
    # gcc warns that vectors are passed differently with and without SSE. The vectors are used in one file only, so this
    # is harmless.
    cc="$host-gcc -Wno-psabi"
    # Most x86-64 kernels run i386 programs without an emulator.
    loader=/usr/$host/lib/ld-linux.so.2
    if "$loader" --version >/dev/null 2>&1; then
        run="$loader --library-path $PWD/foreign-$name/libzpool/.libs:/usr/$host/lib"
    else
        need qemu-i386-static qemu-user-static
        run="qemu-i386-static -L /usr/$host"
    fi
    ;;
*) die "usage: foreign.sh SRCDIR musl|aarch64|i386" ;;
esac
libltdl=/usr/share/libtool
[ -f "$libltdl/ltdl.c" ] || die "$libltdl/ltdl.c is missing (Debian: libtool)"

mkdir -p "foreign-$name"
cd "foreign-$name"
root=$PWD/root

if [ ! -f root/lib/libltdl.a ]; then
    rm -rf build-aux libltdl
    cp -rL "$srcdir/build-aux" build-aux
    cp -r "$libltdl" libltdl
    (
        cd libltdl
        ./configure -q --host="$host" CC="$cc" --prefix="$root" --enable-ltdl-install --disable-shared --with-pic
        make -s install
    ) >libltdl.out 2>&1 || die "libltdl does not build; see $PWD/libltdl.out"
fi

# The musl compiler has no kernel headers, and those of this system are the same for every C library.
kernel=
if [ "$name" = musl ] && [ ! -e kernel ]; then
    mkdir kernel
    ln -s /usr/include/linux /usr/include/asm-generic "$(dirname "$(echo '#include <asm/unistd.h>' |
        cc -E -x c - | sed -n 's/^# 1 "\(.*\/asm\)\/unistd.h".*/\1/p' | head -n 1)")/asm" kernel
fi
[ ! -d kernel ] || kernel="-isystem $PWD/kernel"

# The libraries of this system cannot be used there, so pkg-config must find none.
[ -f config.status ] || PKG_CONFIG_LIBDIR=/nonexistent "$srcdir/configure" --host="$host" CC="$cc" --enable-werror \
    --disable-tools --disable-store CPPFLAGS="-I$root/include $kernel" LDFLAGS="-L$root/lib"

make -s -j "$(nproc)" check TESTS=

# Scripts run in this system's shell, and programs under $run.
make -s check TESTS='tests/install/symbols.sh tests/install/plugins.sh'
make -s check TESTS='tests/install/kernel_caller tests/loader/small_stack tests/fuzz/elf tests/fuzz/spec' \
    LOG_FLAGS="${run:+./libtool --mode=execute $run}"

# run_contract ARGUMENT... - runs the conformance suite
run_contract() {
    # shellcheck disable=SC2086 # a command of several words, or none
    abs_top_builddir=$PWD "$srcdir/tests/with-plugins" ./libtool --mode=execute $run tests/contract/contract "$@"
}

case $run in
'')
    run_contract --ops 20000
    exit
    ;;
esac
# The suite runs on the drivers without filters, with a longer time limit. The emulator leaves things behind in the
# process and changes resident memory, so the results of these cases are ignored under it.
drivers=$(sed -n 's/^plugin_drivers = //p' Makefile | sed 's|plugins/|--driver |g; s|\.la||g')
# shellcheck disable=SC2086 # several words
run_contract --ops 2000 --timeout 300 --no-rss $drivers >contract.out 2>&1 || true
tail -n 1 contract.out
case $run in
qemu*) emulated=_nothing_behind ;;
*) emulated='^$' ;;
esac
grep -q '^[0-9]* passed' contract.out || die "the contract suite did not finish; see $PWD/contract.out"
! grep '^not ok' contract.out | grep -v -- "$emulated" || die "the contract suite failed; see $PWD/contract.out"
