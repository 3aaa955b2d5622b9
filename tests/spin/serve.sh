#!/usr/bin/env bash
# Serves the component by a spec, as Spin would: `tests/spin/serve.sh SPEC.json`. What the spec may say, and
# what is printed, is at the head of serve.mjs.
#
#   TOLLGATE_SPIN_COMPONENT  the component (built if it is not given)
#   TOLLGATE_TOOLS           where Node and its packages are kept (~/.cache/tollgate-tools)
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
tools=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
place="$tools/spin-host"

# One installs, others wait for it.
install() {
    mkdir -p "$place"
    exec 9>"$place/lock"
    flock 9
    if ! cmp -s "$here/package-lock.json" "$place/installed.json"; then
        cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$place/"
        (cd "$place" && npm ci --no-fund --no-audit --loglevel=error >&2)
        cp "$here/package-lock.json" "$place/installed.json"
    fi
    flock -u 9
}

# WASI 0.3 needs a Node that suspends WebAssembly.
node_binary() {
    local found
    for found in "$place"/node_modules/node-linux-*/bin/node; do
        [ -x "$found" ] && echo "$found" && return
    done
    echo "no Node 26 for this machine among the packages" >&2
    return 1
}

install
if [ "${SPIN_RUN:-serve}" = install ]; then exit; fi
export TOLLGATE_SPIN_HOST=$place
export TOLLGATE_SPIN_COMPONENT=${TOLLGATE_SPIN_COMPONENT:-$("$here/build.sh")}
node=$(node_binary)
# The tests of this host run on the same Node.
if [ "${SPIN_RUN:-serve}" = test ]; then exec "$node" --no-warnings --test "$@"; fi
exec "$node" --no-warnings "$here/serve.mjs" "$@"
