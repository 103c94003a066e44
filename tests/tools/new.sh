#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The project that `new' writes builds with what this package installs, its driver keeps every promise, and nothing that
# is there is overwritten.

. "${srcdir:-.}/tests/tools/common.sh"

pkg_config=${PKG_CONFIG:-pkg-config}
command -v "$pkg_config" >/dev/null || {
    echo "there is no pkg-config"
    exit 77
}
here=$(pwd)
source=$(cd "${srcdir:-.}" && pwd)
# Projects are built by a make of their own.
unset MAKEFLAGS MFLAGS MAKELEVEL MAKEOVERRIDES DESTDIR

# What `make install' would leave, made of links, and .pc files that lead there.
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

# builds NAME FOLDER TARGET...: its own make, with this build's compiler, and warnings as errors
builds()
{
    name=$1
    folder=$2
    shift 2
    set -- "$@" WARN_CFLAGS="-Wall -Wextra -Wpedantic -Werror" \
        CFLAGS="${CFLAGS:-} ${SANITIZER_CFLAGS:-} ${COVERAGE_CFLAGS:-}"
    # A sanitizer's runtime is resolved from the program.
    [ -z "${SANITIZER_CFLAGS:-}" ] || set -- "$@" PLUGIN_LDFLAGS=-shared
    [ -e "$sdk/lib/libzpool.so" ] || set -- "$@" HOST_LIBS="$("$pkg_config" --static --libs libzpool)"
    status=0
    make -C "$folder" CC="${CC:-cc}" "$@" >"$work/out" 2>"$work/err" </dev/null || status=$?
    exits "$name" 0
}

# exports_its_driver_alone NAME FILE
exports_its_driver_alone()
{
    exported=$(${NM:-nm} -D --defined-only --format=posix "$2" | awk '$2 != "A" { print $1 }' |
        grep -vE '^(__odr_asan|__gcov_|mangle_path$)' | sort | tr '\n' ' ')
    is "$1" "$3_LTX_zpool_driver zpool_driver " "$exported"
}

cd "$work" || exit 1

run new fresh
exits "a project is written" 0
prints "the next command is told" "make -C fresh check"
silent "and nothing else said"
is "its files" ".gitignore LICENSE Makefile README.md fresh.c tests/check.sh tests/roundtrip.c " \
    "$(cd fresh && find . -type f | sed 's|^\./||' | LC_ALL=C sort | tr '\n' ' ')"
is "no place of the template is left open" "" "$(grep -rE '@(type|spec|kind|does|year|version|build)@' fresh)"
holds "the driver has less than 150 lines" "$(wc -l <fresh/fresh.c)" -lt 150
for file in fresh.c Makefile tests/check.sh tests/roundtrip.c; do
    holds "$file names its licence" "$(head -n 2 "fresh/$file" | grep -c 'SPDX-License-Identifier: MIT')" -gt 0
done
is "the licence is dated" 1 "$(grep -c '^Copyright (c) 20[0-9][0-9] The fresh authors$' fresh/LICENSE)"

builds "the driver works where it is linked in" fresh check-linked
prints "it stored objects" "^fresh: 500 objects stored and compared, 0 failures"
if [ -e "$sdk/lib/libzpool.so" ]; then
    builds "the plugin builds and passes its test" fresh check
    prints "the plugin stored objects" "^fresh: 500 objects stored and compared, 0 failures"
    exports_its_driver_alone "the plugin exports its driver and nothing more" fresh/fresh.so fresh
    is "the plugin asks for nothing of libzpool's" "" \
        "$(${NM:-nm} -D --undefined-only --format=posix fresh/fresh.so | grep -E '^zp_|^zpool_')"
    builds "the plugin is installed where it is told" fresh install DESTDIR="$work/stage" plugindir=/plugins
    holds "the plugin is there" -x "$work/stage/plugins/fresh.so"
    status=0
    ZPOOL_PLUGIN_PATH=$work/stage/plugins "$builddir/tests/contract/contract" --driver fresh --ops 100000 \
        ${ZPOOL_TEST_NO_FORK:+--no-fork} >"$work/out" 2>"$work/err" </dev/null || status=$?
    exits "the driver keeps every promise" 0
    prints "and was asked for more than a few" "^([5-9][0-9]|[1-9][0-9][0-9]) passed, 0 failed"
    grep -E '^not ok|^# seed|^[0-9]+ passed' "$work/out"
fi
builds "what was built is removed again" fresh clean
is "and the project is as it was written" 7 "$(find fresh -type f | wc -l | tr -d ' ')"

# A filter, which has to be tried in front of a driver.
run new --filter strain
exits "the project of a filter is written" 0
prints "the message says that it is one" "strain: created the project of filter strain"
is "no place of its template is left open" "" "$(grep -rE '@(type|spec|kind|does|year|version|build)@' strain)"
is "it has the files of a driver's project" "$(cd fresh && find . -type f ! -name fresh.c | LC_ALL=C sort)" \
    "$(cd strain && find . -type f ! -name strain.c | LC_ALL=C sort)"
holds "the filter has less than 150 lines" "$(wc -l <strain/strain.c)" -lt 150
if [ -e "$sdk/lib/libzpool.so" ]; then
    builds "the filter works where it is linked in" strain check-linked
    prints "it stored objects in a driver" "^strain: 500 objects stored and compared, 0 failures"
    builds "the filter's plugin builds and passes its test" strain check
    prints "the filter stored objects" "^strain: 500 objects stored and compared, 0 failures"
    exports_its_driver_alone "the filter's plugin exports its driver and nothing more" strain/strain.so strain
    builds "the filter is installed where it is told" strain install DESTDIR="$work/stage" plugindir=/plugins
    for driver in zbud zsmalloc; do
        status=0
        ZPOOL_PLUGIN_PATH=$work/stage/plugins:$ZPOOL_PLUGIN_PATH "$builddir/tests/contract/contract" \
            --driver "strain+$driver" --ops 20000 ${ZPOOL_TEST_NO_FORK:+--no-fork} \
            >"$work/out" 2>"$work/err" </dev/null || status=$?
        exits "in front of $driver the filter keeps every promise" 0
        prints "and was asked in front of $driver for more than a few" "^1[0-9][0-9] passed, 0 failed"
        grep -E '^not ok|^# seed|^[0-9]+ passed' "$work/out"
    done
fi

# The longest name, "-" for "_", a folder of another name.
run new --dir elsewhere a-2345678901234567890123456789_z
exits "a folder of another name" 0
prints "the type is printed" "elsewhere: created the project of driver a_2345678901234567890123456789_z"
builds "the longest name builds" elsewhere check-linked

run new --filter --autotools --dir autofilter autofilter
exits "a filter's project with Autotools" 0
prints "its next command too" "cd autofilter && autoreconf -fi && ./configure && make check"

run new --autotools --dir auto auto
exits "a project with Autotools" 0
prints "its next command" "cd auto && autoreconf -fi && ./configure && make check"
holds "it has a configure.ac" -e auto/configure.ac
is "and no Makefile that is written by hand" "" "$(ls auto/Makefile 2>/dev/null)"
if command -v autoreconf >/dev/null && [ -e "$sdk/lib/libzpool.so" ]; then
    (cd auto && autoreconf -fi) >"$work/out" 2>&1 || cat "$work/out"
    status=0
    (
        cd auto && ./configure --prefix="$work/stage" --with-plugindir="$work/stage/auto" CC="${CC:-cc}" \
            CFLAGS="${CFLAGS:-} ${SANITIZER_CFLAGS:-} ${COVERAGE_CFLAGS:-}"
    ) >"$work/out" 2>"$work/err" || status=$?
    exits "it is configured" 0
    if [ -z "${SANITIZER_CFLAGS:-}" ]; then
        status=0
        make -C auto check install >"$work/out" 2>"$work/err" </dev/null || status=$?
        exits "it builds, passes its tests and is installed" 0
        prints "its tests ran" "^# PASS: +2"
        exports_its_driver_alone "its plugin exports its driver and nothing more" "$work/stage/auto/auto.so" auto
    fi
fi

# Every file and folder here but those of the tests themselves.
everything()
{
    find . ! -path './tmp*' ! -path ./out ! -path ./err | sort
}

# refuses NAME PATTERN FOLDER: exit status 1, the pattern, and nothing changed
refuses()
{
    before=$(everything)
    run new --dir "$3" again
    exits "$1 is refused" 1
    says "$1: the reason is told" "$2"
    is "$1: nothing was written" "$before" "$(everything)"
}

mkdir empty
echo mine >file
ln -s nowhere dangling
refuses "a project that is there" "cannot create the directory fresh: File exists; nothing was written" fresh
refuses "an empty folder" "empty: File exists" empty
refuses "a file" "file: File exists" file
refuses "a link to nothing" "dangling: File exists" dangling
refuses "a folder without a parent" "nowhere/below: No such file" nowhere/below
is "the file is what it was" mine "$(cat file)"

# A file that does not fit: the limit of a process's files stands for a full disk.
status=0
(
    trap '' XFSZ
    ulimit -f 4 && exec "$zpoolctl" new full
) >"$work/out" 2>"$work/err" || status=$?
exits "a write that fails is a failure" 1
says "the file is named, and the reason" "cannot write full/.*: File too large; everything written so far was removed"
is "what was written is gone" "" "$(ls -d full 2>/dev/null)"

cd "$here" || exit 1
finish
