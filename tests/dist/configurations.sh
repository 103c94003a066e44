#!/bin/sh
# SPDX-License-Identifier: MIT
#
# configurations.sh SRCDIR [NAME...] - build the library, the tools and all test programs in other configurations
#
# Each configuration has a directory below ./configurations, which is kept, so that a second run rebuilds only what
# changed. No test is run. Without names, all configurations of the table are built. A word "without:MODULE" in the table
# hides a module from pkg-config, as if its package were not installed; the word "blank-path" makes a directory whose
# name has a blank, which libtool does not support everywhere.
set -eu

srcdir=$1
shift

configurations='
clang --enable-werror CC=clang
clang-static --enable-werror CC=clang --disable-shared
clang-debug --enable-werror CC=clang --enable-debug-checks
static --enable-werror --disable-shared
shared --enable-werror --disable-static
debug --enable-werror --enable-debug-checks
no-tools --enable-werror --disable-tools
no-store --enable-werror --disable-tools --disable-store
no-nbdkit --enable-werror --without-nbdkit
no-packages --enable-werror without:check without:nbdkit without:libnbd without:libxxhash
blank --enable-werror blank-path
blank-static --enable-werror --disable-shared blank-path
'

# hide_modules MODULES - prints a pkg-config that does not know these modules
hide_modules() {
    cat <<END
#!/bin/sh
for word; do
    for hidden in $1; do
        case \$word in
        "\$hidden" | "\$hidden "*) exit 1 ;;
        esac
    done
done
exec pkg-config "\$@"
END
}

# build NAME ARGUMENT... - configures and builds one configuration, in a subshell
build() (
    name=$1
    dir=$PWD/configurations/$name
    output=$dir.out
    # configure accepts no absolute path with a blank, so the path from the directory to the sources remains relative.
    up=../..
    hidden=
    shift
    for argument; do
        shift
        case $argument in
        without:*) hidden="$hidden ${argument#without:}" ;;
        blank-path) dir="$dir/a directory" up=../../.. ;;
        *) set -- "$@" "$argument" ;;
        esac
    done
    case $srcdir in
    /*) sources=$srcdir ;;
    *) sources=$up/$srcdir ;;
    esac
    mkdir -p "$dir"
    if [ -n "$hidden" ]; then
        hide_modules "$hidden" >"$dir/pkg-config"
        chmod +x "$dir/pkg-config"
        set -- "$@" "PKG_CONFIG=$dir/pkg-config"
    fi
    {
        cd "$dir" &&
            { [ -f config.status ] || "$sources/configure" --quiet "$@"; } &&
            make -s -j "$(nproc)" all &&
            make -s -j "$(nproc)" check TESTS=
    } >"$output" 2>&1 || {
        tail -n 40 "$output"
        echo "configurations: $name failed; its output is in configurations/$name.out" >&2
        exit 1
    }
    echo "configurations: $name was built"
)

command -v clang >/dev/null || {
    echo 'configurations: clang is not installed (Debian: clang)' >&2
    exit 1
}
mkdir -p configurations
status=0
echo "$configurations" | {
    while read -r name arguments; do
        [ -n "$name" ] || continue
        case " $* " in
        '  ' | *" $name "*) ;;
        *) continue ;;
        esac
        # shellcheck disable=SC2086 # the arguments of the table have no spaces inside
        build "$name" $arguments </dev/null || status=1
    done
    exit $status
}
