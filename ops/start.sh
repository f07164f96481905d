#!/bin/sh
# Serve, but never again where a token refused its PIN: every start is a try, and tokens lock themselves after a few.
# Usage: start.sh NOTE ARGUMENT…
# NOTE is a file that is still there when the container is started again, and is gone with the pod.
set -u

note=$1
shift
if [ -e "$note" ]; then
    echo "hsmgate: the token has refused the PIN; put the right one in its place and make a new pod" >&2
    sleep infinity &
    trap 'kill "$!"; exit 3' TERM INT
    wait
fi

hsmgate "$@" &
gateway=$!
trap 'kill -TERM "$gateway"' TERM INT
wait "$gateway"
code=$?
# A signal ends the waiting too.
while kill -0 "$gateway" 2>/dev/null; do
    wait "$gateway"
    code=$?
done
[ "$code" -ne 3 ] || : >"$note"
exit "$code"
