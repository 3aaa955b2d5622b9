#!/usr/bin/env bash
# The compiled component on its host: what only this platform can do wrong, and what its instances share.
#
#   TOLLGATE_SIM_BIN         the simulated provider (built if it is not given)
#   TOLLGATE_SPIN_COMPONENT  the component (built if it is not given)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
export TOLLGATE_TOOLS=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
if [ -z "${TOLLGATE_SIM_BIN:-}" ]; then
    cargo build --quiet --package tollgate-sim
    export TOLLGATE_SIM_BIN=${CARGO_TARGET_DIR:-target}/debug/tollgate-sim
fi
export TOLLGATE_SPIN_COMPONENT=${TOLLGATE_SPIN_COMPONENT:-$("$here/build.sh")}
raw=$(wc -c <"$TOLLGATE_SPIN_COMPONENT")
small=$(gzip -9c "$TOLLGATE_SPIN_COMPONENT" | wc -c)
echo "component: $raw bytes, $small gzipped"

# A Redis of its own.
work=$(mktemp -d)
trap '[ -z "${server:-}" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT
if command -v redis-server >/dev/null; then
    port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    redis-server --port "$port" --bind 127.0.0.1 --save '' --dir "$work" >"$work/log" 2>&1 &
    server=$!
    for _ in $(seq 100); do redis-cli -p "$port" ping >/dev/null 2>&1 && break; sleep 0.05; done
    export REDIS_URL=redis://127.0.0.1:$port
fi
SPIN_RUN=test "$here/serve.sh" "$here/check.test.mjs"
