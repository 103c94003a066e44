#!/bin/sh
# SPDX-License-Identifier: MIT
#
# foreign.sh SRCDIR musl|aarch64|i386 - build for another C library or machine, and run what works there
#
# The build is in ./foreign-NAME.  Debian has no libltdl for these systems, so it is built from the sources in Debian's
# package libtool; there is no Check either, so the tests that need it are left out, and zpoolctl with them.  Programs
# for another machine run under qemu-user where this one cannot run them.  Configured once, so that a second run rebuilds only what changed.
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
    # A vector within a file is passed in another way with than without SSE, which concerns nobody else.
    cc="$host-gcc -Wno-psabi"
    # Most kernels for x86-64 run the programs themselves.
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

# The musl compiler knows no headers of the kernel, which are the same for every C library.
kernel=
if [ "$name" = musl ] && [ ! -e kernel ]; then
    mkdir kernel
    ln -s /usr/include/linux /usr/include/asm-generic "$(dirname "$(echo '#include <asm/unistd.h>' |
        cc -E -x c - | sed -n 's/^# 1 "\(.*\/asm\)\/unistd.h".*/\1/p' | head -n 1)")/asm" kernel
fi
[ ! -d kernel ] || kernel="-isystem $PWD/kernel"

# Libraries of this system are no use there: pkg-config finds none.
[ -f config.status ] || PKG_CONFIG_LIBDIR=/nonexistent "$srcdir/configure" --host="$host" CC="$cc" --enable-werror \
    --disable-tools --disable-store CPPFLAGS="-I$root/include $kernel" LDFLAGS="-L$root/lib"

make -s -j "$(nproc)" check TESTS=

# Scripts are run by this system's shell, programs by $run.
make -s check TESTS='tests/install/symbols.sh tests/install/plugins.sh'
make -s check TESTS='tests/install/kernel_caller tests/loader/small_stack tests/fuzz/elf tests/fuzz/spec' \
    LOG_FLAGS="${run:+./libtool --mode=execute $run}"

# The contract suite with a shorter model check.
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
# On the drivers alone and with more patience.  What is left behind in the process is the emulator's: of those cases, and
# of resident memory, nothing can be said there.
run_contract --ops 2000 --timeout 300 --no-rss --driver zbud --driver z3fold --driver zsmalloc --driver zblock \
    --driver libc >contract.out 2>&1 || true
tail -n 1 contract.out
case $run in
qemu*) emulated=_nothing_behind ;;
*) emulated='^$' ;;
esac
grep -q '^[0-9]* passed' contract.out || die "the contract suite did not end; see $PWD/contract.out"
! grep '^not ok' contract.out | grep -v -- "$emulated" || die "the contract suite failed; see $PWD/contract.out"
