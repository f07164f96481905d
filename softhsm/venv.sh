#!/bin/sh
# Make a virtual environment if it is not there: softhsm/venv.sh PYTHON DIR
set -eu

python=$1
folder=$2
[ -x "$folder/bin/pip" ] && exit 0

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "hsmgate needs Python 3.11 or newer; say for instance: make PYTHON=python3.12" >&2
    exit 1
}
# Debian keeps what makes environments in a package of its own.
"$python" -c 'import ensurepip' 2>/dev/null || "$(dirname "$0")/install.sh" python3-venv
"$python" -m venv "$folder"
