#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# quickstart.sh - from a fresh clone to a running libzpool in one command; see usage below, or README.md.

set -euo pipefail

usage() {
    cat <<'EOF'
Usage: ./quickstart.sh [check | zpoolctl ARGUMENT... | --help]

  (nothing)   install the Debian packages that are missing (as root; otherwise say which), build in ./build, and store
              real files of this machine through every driver, comparing each byte that comes back
  check       the same set-up and nbdkit with some of its clients, then the whole test suite
  zpoolctl    the same set-up, then build/tools/zpoolctl with the arguments that follow

A second run rebuilds only what changed.  The script asks no questions.  It writes everything below ./build, except
packages and the files that Autotools generate beside the sources (such as configure), which git ignores.

Exit status: 0 success, 1 the job or a test failed, 2 wrong usage, 3 the set-up is not possible here.
EOF
}

# What the build and the tests need.  gcc only recommends the C library's headers, so they are named here.
packages=(autoconf automake libtool make gcc libc6-dev pkg-config libltdl-dev check
    liblz4-dev libzstd-dev libxxhash-dev libjansson-dev libsmartcols-dev)

# What the tests of nbdkit's plugin need in addition.  Without them, the plugin is not built and these tests are
# skipped.
packages_for_check=(nbdkit nbdkit-plugin-dev libnbd-dev libnbd-bin qemu-utils fio e2fsprogs)

# The most that the main job reads.
input_limit_bytes=$((256 * 1024 * 1024))

say() {
    printf 'quickstart: %s\n' "$*"
}

# die STATUS LINE... - prints the lines to standard error and exits with the status.
die() {
    local status=$1
    shift
    printf 'quickstart: %s\n' "$@" >&2
    exit "$status"
}

private_dir=
proc_mounted=no
is_configuration_old=no # yes if packages that configure looks for were installed meanwhile

clean_up() {
    [[ -z $private_dir ]] || rm -rf "$private_dir"
    [[ $proc_mounted == no ]] || umount --lazy /proc
}

# Succeeds if the package is installed, or if the command that it would install comes from elsewhere.
have_package() {
    case $1 in
    autoconf | automake | make | gcc | pkg-config) command -v "$1" >/dev/null && return ;;
    libtool) command -v libtoolize >/dev/null && return ;;
    esac
    dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed
}

# find_missing_packages PACKAGE... - sets the array missing.
find_missing_packages() {
    local package
    missing=()
    for package in "$@"; do
        have_package "$package" || missing+=("$package")
    done
}

run_apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 "$@" >>"$apt_log" 2>&1
}

# Only some tests need these packages, so it is no failure if they cannot be installed.
install_packages_for_check() {
    command -v dpkg-query >/dev/null || return 0
    local missing
    find_missing_packages "${packages_for_check[@]}"
    ((${#missing[@]})) || return 0
    if ((EUID == 0)); then
        say "installing ${missing[*]}"
        local apt_log=build/apt-get-check.out
        : >"$apt_log"
        run_apt_get update || :
        if run_apt_get install --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}"; then
            is_configuration_old=yes
            return
        fi
    fi
    say "the tests of nbdkit's plugin are skipped without these packages, which root can install:"
    say "    apt-get install --no-install-recommends ${missing[*]}"
}

install_packages() {
    if ! command -v dpkg-query >/dev/null; then
        say "this is not a Debian system; continuing, assuming that compilers and libraries are installed"
        say "(the Debian packages are: ${packages[*]})"
        return
    fi
    local missing
    find_missing_packages "${packages[@]}"
    ((${#missing[@]})) || return 0
    if ((EUID != 0)); then
        die 3 "these packages are missing, and only root can install them:" \
            "    apt-get install --no-install-recommends ${missing[*]}" \
            "then run this again."
    fi
    say "installing ${missing[*]}"
    local apt_log=build/apt-get.out
    : >"$apt_log"
    # An old package list may be sufficient; if it is not, the installation below fails.
    run_apt_get update -o APT::Update::Error-Mode=any || say "the package lists could not be refreshed"
    if ! run_apt_get install --no-install-recommends -o Dpkg::Options::=--force-confold "${missing[@]}"; then
        { grep '^E:' "$apt_log" || tail -n 20 "$apt_log"; } | head -n 4 >&2
        die 3 "apt-get could not install the packages; the whole output is in $PWD/$apt_log." \
            "Is there a network, and does /etc/apt name a Debian mirror?  This can be tried again by hand:" \
            "    apt-get update && apt-get install --no-install-recommends ${missing[*]}"
    fi
    find_missing_packages "${packages[@]}"
    ((${#missing[@]} == 0)) || die 3 "apt-get succeeded, yet these packages are still missing: ${missing[*]}"
}

# run_logged LOG WHAT COMMAND... - runs the command with its output in a file, whose end is printed if the command
# fails.
run_logged() {
    local log=$1 what=$2
    shift 2
    say "$what"
    "$@" >"$log" 2>&1 && return
    tail -n 40 "$log" >&2
    die 3 "$what failed; the whole output is in $log"
}

check_source_dir() {
    case $PWD in
    *[\\\"\#\$\&\'\`]* | *$'\n'*) die 3 "configure cannot work in a directory with such a name: $PWD" ;;
    esac
    [[ -w . && (! -e build || -w build) ]] && return
    local owner
    owner=$(stat -c %U build 2>/dev/null || stat -c %U .)
    die 3 "cannot write to $PWD, where the build goes (it belongs to $owner, or is mounted read-only)." \
        "Run this as $owner, or on a copy:" \
        "    cp -r '$PWD' /tmp/libzpool && rm -rf /tmp/libzpool/build && /tmp/libzpool/quickstart.sh"
}

configure_tree() {
    if [[ ! -x configure || ! -f Makefile.in || ! -f config.h.in || ! -f build-aux/ltmain.sh ]]; then
        run_logged "$PWD/build/autoreconf.out" "generating configure" autoreconf -fi
    fi
    # Libtool's scripts contain absolute paths, so a clone that was moved or is mounted elsewhere must be configured
    # again.
    local stamp=build/quickstart.stamp
    if [[ -f build/Makefile && -f $stamp && $(<"$stamp") != "$PWD" ]]; then
        say "./build was made for $(<"$stamp"): building it again"
        rm -rf build
        mkdir build
    fi
    if [[ ! -f build/Makefile || ! -f build/libtool || $is_configuration_old == yes ]]; then
        (cd build && run_logged "$PWD/configure.out" "configuring in $PWD" ../configure)
        pwd >"$stamp"
    fi
    # If files of the build system changed, make would update the build system first; done here, its output is in a
    # file.
    run_logged "$PWD/build/refresh.out" "building" make -C build -s am--refresh config.h
}

# A new chroot has no /proc, without which a process cannot determine how much memory it uses.
provide_proc() {
    [[ ! -e /proc/self ]] || return 0
    if ((EUID == 0)) && mount -t proc proc /proc 2>/dev/null; then
        proc_mounted=yes
        say "/proc was missing, so it is mounted while this script runs"
    else
        say "/proc is missing, so some tests will fail; mount it as root: mount -t proc proc /proc"
    fi
}

# set_up COMMAND
set_up() {
    check_source_dir
    provide_proc
    mkdir -p build
    install_packages
    [[ $1 != check ]] || install_packages_for_check
    # The flags of a make that started this script must not affect the build.
    unset MAKEFLAGS MFLAGS MAKELEVEL CDPATH
    jobs=$(nproc)
    configure_tree
    make -C build -s -j "$jobs" || die 1 "the build failed"
}

# The loader refuses plugins that another user may change.  A clone may belong to another user or be writable for a
# group, so the tool gets a copy of the plugins in a private directory.
run_zpoolctl() {
    private_dir=$(mktemp -d "${TMPDIR:-/tmp}/zpool-quickstart.XXXXXX")
    install -m 755 build/plugins/.libs/*.so "$private_dir" || die 1 "no plugins in build/plugins/.libs"
    (cd -- "$caller_dir" && ZPOOL_PLUGIN_PATH=$private_dir "$source_dir/build/tools/zpoolctl" "$@")
}

# Prints the number of bytes in the files below a directory, or nothing if some of the files cannot be read.
readable_bytes() {
    [[ -z $(find "$1" -xdev ! -type l ! -readable -print -quit 2>&1) ]] || return 0
    find "$1" -xdev -type f -printf '%s\n' | awk '{ n += $1 } END { printf "%d\n", n }'
}

# Sets the array input to directories with programs, libraries, headers and text, up to the limit.  It takes whole
# directories so that users can repeat the command by hand.
choose_input() {
    local dir bytes total=0
    input=()
    for dir in /usr/lib/*-linux-gnu/perl-base /usr/bin /usr/include /usr/lib/gcc /usr/share/perl /usr/share/zoneinfo \
        /usr/share/locale /usr/sbin; do
        [[ -d $dir && ! -L $dir ]] || continue
        bytes=$(readable_bytes "$dir")
        if ((${bytes:-0} > 0 && total + ${bytes:-0} <= input_limit_bytes)); then
            total=$((total + bytes))
            input+=("$dir")
        fi
    done
}

run_main_job() {
    local input
    choose_input
    ((${#input[@]})) || input=("$PWD/libzpool" "$PWD/build")
    say "storing the files below ${input[*]} through every driver"
    echo
    run_zpoolctl store "${input[@]}" || die 1 "zpoolctl store ended with status $?; see above"
    echo
    say "every file was cut into pages of 4 KiB, compressed, stored through each driver, read back and compared."
    say "To repeat this:  ./quickstart.sh zpoolctl store ${input[*]}"
}

# Prints the totals that automake wrote as one line, and writes it to build/test-totals for .ci/run.
test_totals() {
    awk '$1 == "#" && NF == 3 { count[$2] = $3 }
        END { printf "%d passed, %d failed, %d skipped\n", count["PASS:"] + count["XFAIL:"],
            count["FAIL:"] + count["XPASS:"] + count["ERROR:"], count["SKIP:"] }' build/test-suite.log |
        tee build/test-totals
}

run_tests() {
    local status=0
    rm -f build/test-suite.log build/test-totals
    make -C build -s -j "$jobs" check || status=1
    [[ -f build/test-suite.log ]] || die 1 "the tests could not be built or run; see above"
    ((status == 0)) || say "the output of each test is in a .log file below $PWD/build"
    test_totals
    return "$status"
}

main() {
    local command=${1-store}
    case $command in
    -h | --help)
        usage
        return
        ;;
    zpoolctl) shift ;;
    store | check)
        if (($# > 1)) || [[ ${1-} == store ]]; then
            usage >&2
            return 2
        fi
        ;;
    *)
        usage >&2
        return 2
        ;;
    esac

    caller_dir=$PWD
    cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")"
    source_dir=$PWD
    [[ -f configure.ac && -d libzpool ]] || die 3 "$PWD is not a libzpool source tree"
    exec </dev/null
    trap clean_up EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    set_up "$command"
    case $command in
    store) run_main_job ;;
    check) run_tests ;;
    zpoolctl) run_zpoolctl "$@" ;;
    esac
}

main "$@"
