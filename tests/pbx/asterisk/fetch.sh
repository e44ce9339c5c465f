#!/bin/bash
# fetch.sh DIR [SUITE]: Asterisk 22 out of Debian sid, or 16 out of bullseye, unpacked into DIR unless it is there;
# prints nothing.
#
# Needs apt-get and dpkg-deb, and no root: apt keeps its state in DIR.apt, no package is installed, and
# what is unpacked is run by its own loader. sid rolls, so one day a package's name here may have changed.
set -euo pipefail
tree=$(realpath -m "$1")
suite=${2:-sid}
asterisk=$tree/usr/sbin/asterisk
[ ! -x "$asterisk" ] || exit 0

mkdir -p "$(dirname "$tree")"
# Tests run beside each other: one fetches, the others wait.
exec 9> "$tree.lock"
flock 9
[ ! -x "$asterisk" ] || exit 0

packages="asterisk asterisk-modules
    libbsd0 libc6 libcap2 libcrypt1 libedit2 libgcc-s1 libjansson4 liblzma5 libmd0 libnspr4 libnss3 libopus0
    libpopt0 libresample1 libspeex1 libspeexdsp1 libsqlite3-0 libsrtp2-1 libstdc++6 libsystemd0
    libtinfo6 liburiparser1 libuuid1 libxslt1.1 libzstd1 zlib1g"
case $suite in
sid) packages="$packages libssl3t64 libxml2-16" ;;
bullseye) packages="$packages libssl1.1 libxml2 libicu67 libgcrypt20 libgpg-error0 liblz4-1" ;;
*)
    echo "fetch.sh: a suite is sid or bullseye, found $suite" >&2
    exit 2
    ;;
esac
# The mirror that this machine uses anyway.
mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort | uniq -c | sort -rn |
    awk 'NR == 1 { print $2 }')
state=$tree.apt
rm -rf "$state" "$tree.draft"
mkdir -p "$state"/{lists/partial,cache/archives/partial,preferences.d,packages} "$tree.draft"
: > "$state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" > "$state/sources.list"
options=(
    -o Dir::Etc::sourcelist="$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::Etc::preferencesparts="$state/preferences.d" -o Dir::State::lists="$state/lists"
    -o Dir::State::status="$state/status" -o Dir::Cache="$state/cache"
    # A mirror's copy of sid may be days old, and bullseye is not signed anew.
    -o Acquire::Check-Valid-Until=false
    -o Acquire::Languages=none -o Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false
    -o APT::Architecture=amd64 -o APT::Architectures=amd64 -o APT::Sandbox::User=
    -o APT::Update::Post-Invoke= -o APT::Update::Post-Invoke-Success=
)
apt-get "${options[@]}" -qq update
# shellcheck disable=SC2086 # the list is meant to split
(cd "$state/packages" && apt-get "${options[@]}" -qq download $packages)
for package in "$state"/packages/*.deb; do
    dpkg-deb --fsys-tarfile "$package" | tar -x -C "$tree.draft" --keep-directory-symlink \
        --exclude=./usr/share/man --exclude=./usr/share/doc --exclude=./usr/share/locale
done
# The tree appears whole or not at all.
mv "$tree.draft" "$tree"
rm -rf "$state"
