#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
#
# chroot.sh - test that the two commands of README.md work on a minimal Debian system
#
# The script makes an empty Debian system (debootstrap, minbase) with this machine's apt configuration, clones the
# repository into it, and runs ./quickstart.sh and ./quickstart.sh check there as root. Then it does the same as an
# ordinary user in another clone. It needs root and debootstrap.
#
#   --worktree      test the files as they are here, with changes that are not committed
#   --cache FILE    keep the empty system in FILE, a tar archive, and start from it when it is there
#   --suite NAME    another Debian release than bookworm
#
# The exit status is 0 if everything passed, 77 if the test cannot run here, and anything else after a failure.

set -euo pipefail

suite=bookworm
cache=
worktree=no

say() {
    printf 'chroot: %s\n' "$*"
}

skip() {
    say "skipped: $*"
    exit 77
}

parse_arguments() {
    while (($#)); do
        case $1 in
        --worktree) worktree=yes ;;
        --cache)
            cache=${2:?--cache wants a file}
            shift
            ;;
        --suite)
            suite=${2:?--suite wants a name}
            shift
            ;;
        *)
            say "unknown argument $1; the head of ${BASH_SOURCE[0]} explains" >&2
            exit 2
            ;;
        esac
        shift
    done
}

check_requirements() {
    ((EUID == 0)) || skip "only root can make a chroot"
    local program
    for program in debootstrap git unshare; do
        command -v "$program" >/dev/null || skip "$program is not installed"
    done
    git -c safe.directory='*' -C "$source_dir" rev-parse --git-dir >/dev/null 2>&1 || skip "$source_dir is not a git clone"
    unshare --mount --pid --fork true 2>/dev/null || skip "this machine does not allow mount namespaces"
}

# Prints the mirror from which this machine gets the packages of the release.
mirror() {
    # shellcheck disable=SC2016 # for apt-get
    apt-get indextargets --format '$(RELEASE) $(COMPONENT) $(REPO_URI)' 'Created-By: Packages' |
        awk -v suite="$suite" '$1 == suite && $2 == "main" { print $3; exit }'
}

make_system() {
    mkdir "$root"
    if [[ -n $cache && -f $cache ]]; then
        tar -C "$root" -xf "$cache"
        return
    fi
    local uri
    uri=$(mirror)
    [[ -n $uri ]] || skip "this machine's apt has no mirror of $suite"
    say "making an empty $suite"
    debootstrap --variant=minbase "$suite" "$root" "$uri" >"$work/debootstrap.out" 2>&1 || {
        tail -n 20 "$work/debootstrap.out" >&2
        say "debootstrap failed" >&2
        exit 1
    }
    [[ -z $cache ]] || tar -C "$root" -cf "$cache" .
}

# The files that apt needs to reach the packages: sources, proxies and keys, host names, and certificates if the mirror
# uses TLS.
copy_network_configuration() {
    rm -rf "$root/etc/apt"
    local path
    for path in /etc/apt /etc/resolv.conf /etc/hosts /usr/share/keyrings /etc/ssl/certs /usr/share/ca-certificates \
        /usr/local/share/ca-certificates; do
        [[ -e $path ]] || continue
        mkdir -p "$root${path%/*}"
        rm -rf "${root:?}$path"
        cp -aL "$path" "$root$path" 2>/dev/null || cp -a "$path" "$root$path"
    done
}

# clone_to DIRECTORY - clones the last commit; with --worktree, copies all files that git would commit.
clone_to() {
    local git=(git -c safe.directory='*' -c core.sharedRepository=umask)
    "${git[@]}" clone --quiet --no-hardlinks "$source_dir" "$1"
    [[ $worktree == yes ]] || return 0
    find "$1" -mindepth 1 -maxdepth 1 ! -name .git -exec rm -rf {} +
    "${git[@]}" -C "$source_dir" ls-files -z --cached --others --exclude-standard |
        (cd "$source_dir" && while IFS= read -r -d '' file; do [[ ! -e $file ]] || printf '%s\0' "$file"; done) |
        tar -C "$source_dir" --null --files-from=- -cf - | tar -C "$1" --no-same-owner -xf -
}

# in_system USER COMMAND... - runs the command without a terminal or standard input, and with a fixed environment.
in_system() {
    local user=$1 variable
    local environment=(HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8)
    shift
    for variable in http_proxy https_proxy no_proxy; do
        [[ -z ${!variable-} ]] || environment+=("$variable=${!variable}")
    done
    [[ $user == root ]] || environment[0]=HOME=/home/$user
    chroot --userspec="$user" "$root" /usr/bin/env -i "${environment[@]}" "$@" </dev/null
}

# run_both_commands USER DIRECTORY - runs both commands, and the first one again, which must find everything built. The
# second one uses .ci/run, which prints the logs of failed tests.
run_both_commands() {
    local command log begin
    for command in ./quickstart.sh .ci/run ./quickstart.sh; do
        say "$1: $command"
        log=$work/$1-${command##*/}.out
        begin=$SECONDS
        # shellcheck disable=SC2016 # the shell in the new system expands the variables
        if ! in_system "$1" sh -c 'cd "$1" && exec "$2"' sh "$2" "$command" >"$log" 2>&1; then
            tail -n 300 "$log" >&2
            say "FAILED after $((SECONDS - begin)) s: $command as $1" >&2
            return 1
        fi
        tail -n "$([[ $command == .ci/run ]] && echo 1 || echo 12)" "$log"
        say "passed in $((SECONDS - begin)) s"
    done
}

# All mounts disappear with the namespace in which this runs.
test_system() {
    mount -t proc proc "$root/proc"
    mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm"
    clone_to "$root/root/libzpool"
    run_both_commands root /root/libzpool
    in_system root useradd --create-home --shell /bin/bash plain
    clone_to "$root/home/plain/a clone"
    in_system root chown -R plain: "/home/plain/a clone"
    run_both_commands plain "/home/plain/a clone"
}

main() {
    source_dir=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/../.." && pwd)
    if [[ ${1-} == --inside ]]; then
        work=$2 root=$2/root worktree=$3
        test_system
        return
    fi
    parse_arguments "$@"
    check_requirements
    work=$(mktemp -d "${TMPDIR:-/tmp}/zpool-chroot.XXXXXX")
    root=$work/root
    trap 'rm -rf --one-file-system "$work"' EXIT
    trap 'exit 130' HUP INT TERM
    # Other users must be able to enter the root directory of the chroot.
    chmod 755 "$work"
    make_system
    copy_network_configuration
    unshare --mount --propagation private --pid --fork --kill-child "${BASH_SOURCE[0]}" --inside "$work" "$worktree"
    say "all passed"
}

main "$@"
