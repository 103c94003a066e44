#!/bin/sh
# SPDX-License-Identifier: MIT
#
# deb.sh SRCDIR TARBALL - build the Debian packages from the tarball of make dist, in ./deb, and check them with lintian
#
# The tarball does not contain debian/, because distributions have their own. The test suite is not run; make check does
# that.

set -eu

srcdir=$1
tarball=$2

die() {
    echo "deb: $*" >&2
    exit 1
}

command -v dpkg-buildpackage >/dev/null || die "dpkg-buildpackage is not installed (Debian: dpkg-dev)"
command -v dh >/dev/null || die "dh is not installed (Debian: debhelper)"
version=$(dpkg-parsechangelog -l "$srcdir/debian/changelog" -S Version)
name=$(basename "$tarball" .tar.xz)
[ "libzpool-${version%-*}" = "$name" ] || die "debian/changelog has version ${version%-*}, but the tarball is $name"

rm -rf deb
mkdir deb
cp "$tarball" "deb/libzpool_${version%-*}.orig.tar.xz"
tar -C deb -xf "$tarball"
cp -R "$srcdir/debian" "deb/$name/"
(cd "deb/$name" && unset MAKEFLAGS MFLAGS MAKELEVEL && DEB_BUILD_OPTIONS="nocheck parallel=$(nproc)" dpkg-buildpackage -us -uc)
if command -v lintian >/dev/null; then
    # The distribution is UNRELEASED until a version is released.
    lintian --allow-root --fail-on error,warning --suppress-tags unreleased-changes,initial-upload-closes-no-bugs deb/*.changes
else
    echo "deb: lintian is not installed, so the packages were not checked"
fi
ls deb/*.deb
