#!/usr/bin/env bash
# `spin up` itself, where the machine has it: an answer from the simulated provider, and a limit that holds.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
if ! command -v spin >/dev/null; then
    echo "spin up: not played, since there is no spin on the PATH (its releases are on no package registry)"
    exit 0
fi
work=$(mktemp -d)
trap 'kill ${up:-} ${sim:-} 2>/dev/null || true; rm -rf "$work"' EXIT
port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
sim_port=$(port) up_port=$(port)
"$TOLLGATE_SIM_BIN" --listen "127.0.0.1:$sim_port" >"$work/sim" 2>&1 &
sim=$!
config="
[providers.sim]
kind = \"openai\"
base_url = \"http://127.0.0.1:$sim_port/v1\"
keys = [\"anything\"]
[[keys]]
name = \"ci\"
value = \"tg-0123456789012345678901234567890123\"
rpm = 2
"
# The manifest as it is, with the component that was built.
sed "s#^source = .*#source = \"$TOLLGATE_SPIN_COMPONENT\"#" spin.toml >"$work/spin.toml"
SPIN_VARIABLE_GATEWAY_CONFIG=$config spin up --from "$work/spin.toml" --state-dir "$work/state" \
    --listen "127.0.0.1:$up_port" >"$work/up" 2>&1 &
up=$!
ask() {
    curl -s -o "$work/answer" -w '%{http_code}' "http://127.0.0.1:$up_port/v1/chat/completions" \
        -H 'authorization: Bearer tg-0123456789012345678901234567890123' -H 'content-type: application/json' \
        -d '{"model": "sim/demo", "messages": [{"role": "user", "content": "hello"}]}'
}
for _ in $(seq 300); do
    curl -s "http://127.0.0.1:$up_port/healthz" >/dev/null && break
    sleep 0.1
done
for expected in 200 200 429; do
    found=$(ask)
    [ "$found" = "$expected" ] || { cat "$work/answer" "$work/up"; echo "spin up: found $found, expected $expected"; exit 1; }
done
echo "spin up: answers, and its limit holds"
