#!/bin/sh
# Make an NSS token, which has ML-DSA where SoftHSM has not: softhsm/nss.sh DIR [PYTHON]
# PYTHON is one that can import hsmgate. Leaves in DIR, and does nothing where they are:
#   lib/  libsoftokn3.so and what it loads; a process that uses it needs LD_LIBRARY_PATH=DIR/lib
#   db/   the token "NSS Certificate DB"; its init_args:
#         configdir='sql:DIR/db' certPrefix='' keyPrefix='' secmod='secmod.db' flags=
#   pin   its PIN
set -eu

here=$(cd "$(dirname "$0")" && pwd)
python=${2:-$here/../.venv/bin/python}
# Made last, so whoever sees it sees all.
[ -e "$1/pin" ] && exit 0

mkdir -p "$1"
folder=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The oldest NSS that was seen to sign with ML-DSA: others from 3.116 on may know its mechanisms and not have it.
version=$(dpkg-query --show --showformat='${Version}' libnss3 2>/dev/null || true)
if dpkg --compare-versions "${version:-0}" ge 2:3.131; then
    mkdir "$work/root"
    dpkg --listfiles libnss3 libnspr4 libsqlite3-0 | grep '\.so' | xargs cp --target-directory="$work/root"
else
    # Debian's testing has it. Installing from there would pull in its libc, and this is only for a test: so the package
    # is fetched by an apt with sources and state of its own, which needs no rights, and unpacked. Its softokn runs on an
    # older libc; its libnspr4 and libsqlite3 do not, so those are this release's.
    release=$(. /etc/os-release && echo "$VERSION_CODENAME")
    mirror=$(apt-get update --print-uris | sed -n "s|^'\(.*\)/dists/$release/InRelease'.*|\1|p" | head -n 1)
    [ -n "$mirror" ] || { echo "no apt source here has Debian $release" >&2; exit 1; }
    keys=/usr/share/keyrings/debian-archive-keyring.gpg
    cat >"$work/sources.list" <<END
deb [signed-by=$keys target=Packages] $mirror $release main
deb [signed-by=$keys target=Packages] $mirror testing main
END
    # The cleared commands are the system's own, to run after its own update.
    cat >"$work/apt.conf" <<END
Dir::Etc::SourceList "$work/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$work/lists";
Dir::Cache "$work/cache";
APT::Sandbox::User "$(id -un)";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
END
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "fetching NSS from Debian testing"
    apt-get --config-file="$work/apt.conf" --quiet --quiet update
    (
        cd "$work"
        apt-get --config-file="$work/apt.conf" --quiet --quiet download \
            libnss3/testing "libnspr4/$release" "libsqlite3-0/$release"
        for package in *.deb; do dpkg --extract "$package" root; done
    )
fi

rm -rf "$folder/lib" "$folder/db"
mkdir "$folder/lib"
mkdir -m 700 "$folder/db"
for library in softokn3 freebl3 freeblpriv3 nssutil3 nspr4 plc4 plds4 sqlite3; do
    find "$work/root" -name "lib$library.so" -o -name "lib$library.so.0" | xargs cp --target-directory="$folder/lib"
done
LD_LIBRARY_PATH=$folder/lib "$python" "$here/nss_pin.py" "$folder"
