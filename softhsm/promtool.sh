#!/bin/sh
# Unpack Debian's promtool: softhsm/promtool.sh FILE
# Its package is not installed, since that would start a Prometheus. Does nothing where there is a promtool already.
set -eu

[ -x "$1" ] && exit 0
command -v promtool >/dev/null && exit 0

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
download() { (cd "$work" && apt-get --quiet --quiet --option "APT::Sandbox::User=$(id -un)" download prometheus); }
download 2>/dev/null || {
    as_root=""
    [ "$(id -u)" = 0 ] || as_root=sudo
    $as_root apt-get --quiet update >/dev/null
    download
}
dpkg --extract "$work"/prometheus_*.deb "$work/root"
cp "$work/root/usr/bin/promtool" "$1"
