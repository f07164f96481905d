#!/bin/sh
# Install Debian packages that are not there yet: softhsm/install.sh PACKAGE...
# Does nothing, and needs no rights, where all of them are installed.
set -eu

missing=""
for package in "$@"; do
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null || true)
    [ "$status" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

as_root=""
if [ "$(id -u)" != 0 ]; then
    as_root=sudo
    command -v sudo >/dev/null || { echo "install these packages first:$missing" >&2; exit 1; }
fi
echo "installing$missing"
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of words
$as_root apt-get install --yes --quiet --no-install-recommends $missing >/dev/null 2>&1 || {
    $as_root apt-get update --quiet >/dev/null
    $as_root apt-get install --yes --quiet --no-install-recommends $missing >/dev/null
}
