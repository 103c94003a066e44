#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The project that `new' writes builds with the files that this package installs, and its driver keeps every promise. No
# existing file is overwritten.

. "${srcdir:-.}/tests/tools/common.sh"

pkg_config=${PKG_CONFIG:-pkg-config}
command -v "$pkg_config" >/dev/null || {
    echo "there is no pkg-config"
    exit 77
}
here=$(pwd)
source=$(cd "${srcdir:-.}" && pwd)
# Projects are built by a separate make.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR

# Links in the layout of `make install', and .pc files that lead there.
sdk=$work/sdk
mkdir -p "$sdk/include" "$sdk/lib/pkgconfig"
ln -s "$source"/libzpool/zpool*.h "$sdk/include/"
ln -s "$source/libzpool/support" "$sdk/include/zpool-support"
ln -s "$builddir"/libzpool/.libs/libzpool.* "$builddir/libzpool/libzpool-support.a" "$sdk/lib/"
for file in libzpool.pc libzpool-driver.pc; do
    sed "s|^libdir=.*|libdir=$sdk/lib|; s|^includedir=.*|includedir=$sdk/include|" "$builddir/libzpool/$file" \
        >"$sdk/lib/pkgconfig/$file"
done
PKG_CONFIG_PATH=$sdk/lib/pkgconfig
export PKG_CONFIG_PATH

# builds NAME DIRECTORY TARGET...: runs make in the directory, with this build's compiler, and with warnings as errors
builds()
{
    name=$1
    directory=$2
    shift 2
    # The projects are linked with the runtime that this build's coverage needs, but their own coverage is not measured.
    set -- "$@" WARN_CFLAGS="-Wall -Wextra -Wpedantic -Werror" \
        CFLAGS="${CFLAGS:-} ${SANITIZER_CFLAGS:-} ${COVERAGE_CFLAGS:+$COVERAGE_CFLAGS -fno-profile-arcs -fno-test-coverage}"
    # The runtime of a sanitizer is only in the program, so the plugin must not resolve all symbols.
    [ -z "${SANITIZER_CFLAGS:-}" ] || set -- "$@" PLUGIN_LDFLAGS=-shared
    [ -e "$sdk/lib/libzpool.so" ] || set -- "$@" HOST_LIBS="$("$pkg_config" --static --libs libzpool)"
    status=0
    make -C "$directory" CC="${CC:-cc}" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    exits "$name" 0
}

# exports_its_driver_alone NAME FILE TYPE: the plugin must not export any other symbol
exports_its_driver_alone()
{
    exported=$(${NM:-nm} -D --defined-only --format=posix "$2" | awk '$2 != "A" { print $1 }' |
        grep -vE '^(__odr_asan|__gcov_|mangle_path$)' | sort | tr '\n' ' ')
    is "$1" "$3_LTX_zpool_driver zpool_driver " "$exported"
}

cd "$work" || exit 1

run new fresh
exits "a project is written" 0
prints "the next command is printed" "make -C fresh check"
silent "there is no message"
is "the project has these files" ".gitignore LICENSE Makefile README.md fresh.c tests/check.sh tests/roundtrip.c " \
    "$(cd fresh && find . -type f | sed 's|^\./||' | LC_ALL=C sort | tr '\n' ' ')"
is "no variable of the template is left" "" "$(grep -rE '@(type|spec|kind|does|year|version|build)@' fresh)"
holds "the driver has less than 150 lines" "$(wc -l <fresh/fresh.c)" -lt 150
for file in fresh.c Makefile tests/check.sh tests/roundtrip.c; do
    holds "$file names its licence" "$(head -n 2 "fresh/$file" | grep -c 'SPDX-License-Identifier: MIT')" -gt 0
done
is "the licence has the year" 1 "$(grep -c '^Copyright (c) 20[0-9][0-9] The fresh authors$' fresh/LICENSE)"

builds "the driver works if it is linked in" fresh check-linked
prints "the linked program stored objects" "^fresh: 500 objects stored and compared, 0 failures"
if [ -e "$sdk/lib/libzpool.so" ]; then
    builds "the plugin builds and passes its test" fresh check
    prints "the plugin stored objects" "^fresh: 500 objects stored and compared, 0 failures"
    exports_its_driver_alone "the plugin exports only its driver" fresh/fresh.so fresh
    is "the plugin uses no function of libzpool" "" \
        "$(${NM:-nm} -D --undefined-only --format=posix fresh/fresh.so | grep -E '^zp_|^zpool_')"
    builds "the plugin is installed in plugindir" fresh install DESTDIR="$work/stage" plugindir=/plugins
    holds "the plugin is in plugindir" -x "$work/stage/plugins/fresh.so"
    status=0
    ZPOOL_PLUGIN_PATH=$work/stage/plugins "$builddir/tests/contract/contract" --driver fresh --ops 100000 \
        ${ZPOOL_TEST_NO_FORK:+--no-fork} >"$work/out" 2>"$work/err" </dev/null || status=$?
    exits "the driver keeps every promise" 0
    prints "enough cases were run" "^([5-9][0-9]|[1-9][0-9][0-9]) passed, 0 failed"
    grep -E '^not ok|^# seed|^[0-9]+ passed' "$work/out"
fi
builds "make clean succeeds" fresh clean
is "clean removes everything that was built" 7 "$(find fresh -type f | wc -l | tr -d ' ')"

# A filter is tested on top of each driver.
run new --filter strain
exits "the project of a filter is written" 0
prints "the message says that it is a filter" "strain: created the project of filter strain"
is "no variable of the filter's template is left" "" "$(grep -rE '@(type|spec|kind|does|year|version|build)@' strain)"
is "it has the files of a driver's project" "$(cd fresh && find . -type f ! -name fresh.c | LC_ALL=C sort)" \
    "$(cd strain && find . -type f ! -name strain.c | LC_ALL=C sort)"
holds "the filter has less than 150 lines" "$(wc -l <strain/strain.c)" -lt 150
if [ -e "$sdk/lib/libzpool.so" ]; then
    builds "the filter works if it is linked in" strain check-linked
    prints "it stored objects in a driver" "^strain: 500 objects stored and compared, 0 failures"
    builds "the filter's plugin builds and passes its test" strain check
    prints "the filter stored objects" "^strain: 500 objects stored and compared, 0 failures"
    exports_its_driver_alone "the filter's plugin exports only its driver" strain/strain.so strain
    builds "the filter is installed in plugindir" strain install DESTDIR="$work/stage" plugindir=/plugins
    for driver in zbud zsmalloc; do
        status=0
        ZPOOL_PLUGIN_PATH=$work/stage/plugins:$ZPOOL_PLUGIN_PATH "$builddir/tests/contract/contract" \
            --driver "strain+$driver" --ops 20000 ${ZPOOL_TEST_NO_FORK:+--no-fork} \
            >"$work/out" 2>"$work/err" </dev/null || status=$?
        exits "the filter on top of $driver keeps every promise" 0
        prints "enough cases were run on $driver" "^1[0-9][0-9] passed, 0 failed"
        grep -E '^not ok|^# seed|^[0-9]+ passed' "$work/out"
    done
fi

# The longest name, with "-" instead of "_", and a directory with another name.
run new --dir elsewhere a-2345678901234567890123456789_z
exits "a directory with another name" 0
prints "the type is printed" "elsewhere: created the project of driver a_2345678901234567890123456789_z"
builds "the longest name builds" elsewhere check-linked

run new --filter --autotools --dir autofilter autofilter
exits "a filter's project with Autotools" 0
prints "the next command for the filter is printed" "cd autofilter && autoreconf -fi && ./configure && make check"

run new --autotools --dir auto auto
exits "a project with Autotools" 0
prints "the next command is printed" "cd auto && autoreconf -fi && ./configure && make check"
holds "it has a configure.ac" -e auto/configure.ac
is "it has no Makefile" "" "$(ls auto/Makefile 2>/dev/null)"
if command -v autoreconf >/dev/null && [ -e "$sdk/lib/libzpool.so" ]; then
    (cd auto && autoreconf -fi) >"$work/out" 2>&1 || cat "$work/out"
    status=0
    (
        cd auto && ./configure --prefix="$work/stage" --with-plugindir="$work/stage/auto" CC="${CC:-cc}" \
            CFLAGS="${CFLAGS:-} ${SANITIZER_CFLAGS:-} ${COVERAGE_CFLAGS:-}"
    ) >"$work/out" 2>"$work/err" || status=$?
    exits "configure succeeds" 0
    if [ -z "${SANITIZER_CFLAGS:-}" ]; then
        status=0
        make -C auto check install >"$work/out" 2>"$work/err" </dev/null || status=$?
        exits "it builds, passes its tests and is installed" 0
        prints "its tests ran" "^# PASS: +2"
        exports_its_driver_alone "its plugin exports only its driver" "$work/stage/auto/auto.so" auto
    fi
fi

# everything: lists every file and directory except those of the tests themselves
everything()
{
    find . ! -path './tmp*' ! -path ./out ! -path ./err | sort
}

# refuses NAME PATTERN DIRECTORY: the exit status must be 1, the message must match, and nothing may have changed
refuses()
{
    before=$(everything)
    run new --dir "$3" again
    exits "$1 is refused" 1
    warns "$1: the reason is printed" "$2"
    is "$1: nothing was written" "$before" "$(everything)"
}

mkdir empty
echo mine >file
ln -s nowhere dangling
refuses "a project that exists" "cannot create the directory fresh: File exists; nothing was written" fresh
refuses "an empty directory" "empty: File exists" empty
refuses "a file" "file: File exists" file
refuses "a link to nothing" "dangling: File exists" dangling
refuses "a directory without a parent" "nowhere/below: No such file" nowhere/below
is "the file has not changed" mine "$(cat file)"

# A file does not fit on the disk; the limit of file sizes acts like a full disk.
status=0
(
    trap '' XFSZ
    ulimit -f 4 && exec "$zpoolctl" new full
) >"$work/out" 2>"$work/err" || status=$?
exits "a write that fails is a failure" 1
warns "the message has the file and the reason" "cannot write full/.*: File too large; everything written so far was removed"
is "the files that were written are removed" "" "$(ls -d full 2>/dev/null)"

cd "$here" || exit 1
finish
