#!/bin/bash
# fetch.sh DIR: Kamailio of this system's Debian, unpacked into DIR unless it is there; prints nothing.
#
# Needs apt-get and dpkg-deb, and no root: nothing is installed, and so no service is started.
set -euo pipefail
tree=$(realpath -m "$1")
[ ! -x "$tree/usr/sbin/kamailio" ] || exit 0

mkdir -p "$(dirname "$tree")"
# Tests run beside each other: one fetches, the others wait.
exec 9> "$tree.lock"
flock 9
[ ! -x "$tree/usr/sbin/kamailio" ] || exit 0

rm -rf "$tree.draft" "$tree.apt"
mkdir -p "$tree.draft" "$tree.apt"
(cd "$tree.apt" && apt-get -qq -o APT::Sandbox::User= download kamailio)
dpkg-deb --fsys-tarfile "$tree.apt"/*.deb | tar -x -C "$tree.draft" --exclude=./usr/share --exclude=./etc
# The tree appears whole or not at all.
mv "$tree.draft" "$tree"
rm -rf "$tree.apt"
