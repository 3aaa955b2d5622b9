#!/usr/bin/env bash
# Real client libraries against a gateway, or against the simulated provider itself.
#
#   tests/sdk/run.sh [client...]         clients: openai3 openai2 responses others langchain litellm
#                                        anthropic2 boto3 node others-node anthropic-node ai
#
#   TOLLGATE_SIM_BIN  the simulator (target/release/tollgate-sim, else target/debug)
#   TOLLGATE_BIN      the gateway; without it the clients talk to the simulator, which proves
#                     the checks themselves
#   TOLLGATE_URL      talk to this address and start nothing; then TOLLGATE_SIM_URL is where the
#                     simulator behind it listens, and TOLLGATE_KEY, TOLLGATE_MODEL and
#                     TOLLGATE_FRESH_MODEL are as in harness.py
#                     (and TOLLGATE_KEEPS=1 if it keeps responses)
#   TOLLGATE_TOOLS    where the libraries are kept (~/.cache/tollgate-tools)
#
# The last line says how many checks passed and failed; the exit code is 0 if none failed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
fresh=60
work=$(mktemp -d)
children=()
passed=0
failed=0

stop() {
    for child in ${children[@]+"${children[@]}"}; do
        kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
    done
    children=()
}
trap 'stop; rm -rf "$work"' EXIT

# A Python environment with exactly the versions listed for it.
python_for() {
    local wanted="$here/python/$1.txt" place="$tools/python-$1"
    if ! cmp -s "$wanted" "$place/installed.txt"; then
        rm -rf "$place"
        python3 -m venv "$place" && "$place/bin/pip" install --quiet --requirement "$wanted" >&2 || return 1
        cp "$wanted" "$place/installed.txt"
    fi
}

# The Node packages; scripts import them from a copy beside them.
node_modules() {
    local place="$tools/node"
    mkdir -p "$place"
    if ! cmp -s "$here/node/package-lock.json" "$place/installed.json"; then
        cp "$here/node/package.json" "$here/node/package-lock.json" "$here/node/.npmrc" "$place/"
        (cd "$place" && npm ci --no-fund --no-audit --loglevel=error >&2) || return 1
        cp "$here/node/package-lock.json" "$place/installed.json"
    fi
    cp "$here"/node/*.mjs "$place/"
}

# The system's Node if it is new enough for every client, else the packaged one.
node_binary() {
    local found
    if node -e 'process.exit(parseInt(process.versions.node) >= 22 ? 0 : 1)' 2>/dev/null; then
        echo node
        return
    fi
    for found in "$tools"/node/node_modules/node-*/bin/node; do
        [ -x "$found" ] && echo "$found" && return
    done
    echo node
}

# Waits for a line that names an address in a program's output, and prints the address.
address_in() {
    local found
    for _ in $(seq 200); do
        found=$(grep -oE 'https?://(127\.0\.0\.1|\[::1\]|localhost):[0-9]+' "$1" 2>/dev/null | head -n 1)
        [ -n "$found" ] && echo "$found" && return
        sleep 0.05
    done
    echo "no address in the output of $2:" >&2
    cat "$1" >&2
    return 1
}

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

# A gateway in front of the simulator: one model for good answers, many for bad ones.
write_config() {
    echo '[store]'
    echo 'path = ":memory:"'
    echo 'responses = "1d"'
    echo '[[keys]]'
    echo 'name = "sdk"'
    echo "value = \"$TOLLGATE_KEY\""
    echo '[models.chat]'
    echo 'targets = [{ to = "good/gpt-sim" }]'
    for name in good $(seq -f 'fresh-%g' 0 $((fresh - 1))); do
        write_provider "$name" openai v1
    done
    write_provider anthropic anthropic v1
    write_provider gemini gemini v1beta
    write_bedrock
}

# Its requests are signed; the simulator wants the key's id for its secret.
write_bedrock() {
    echo '[providers.bedrock]'
    echo "base_url = \"$TOLLGATE_SIM_URL\""
    echo 'region = "us-east-1"'
    echo "keys = [{ access_key_id = \"$TOLLGATE_KEY\", secret_access_key = \"$TOLLGATE_KEY\" }]"
}

write_provider() {
    echo "[providers.$1]"
    echo "kind = \"$2\""
    echo "base_url = \"$TOLLGATE_SIM_URL/$3\""
    echo "keys = [{ value = \"$TOLLGATE_KEY\" }]"
}

# Starts what is under test anew, so that no client inherits another's failures.
start() {
    stop
    local simulator=${TOLLGATE_SIM_BIN:-}
    for built in "$root/target/release/tollgate-sim" "$root/target/debug/tollgate-sim"; do
        [ -z "$simulator" ] && [ -x "$built" ] && simulator=$built
    done
    [ -n "$simulator" ] || { echo 'no tollgate-sim: build it or set TOLLGATE_SIM_BIN' >&2; return 1; }
    export TOLLGATE_KEY=sk-tollgate-test
    "$simulator" --listen 127.0.0.1:0 --expect-key "$TOLLGATE_KEY" >"$work/sim.log" 2>&1 &
    children+=($!)
    TOLLGATE_SIM_URL=$(address_in "$work/sim.log" tollgate-sim) || return 1
    export TOLLGATE_SIM_URL TOLLGATE_URL=$TOLLGATE_SIM_URL
    [ -n "${TOLLGATE_BIN:-}" ] || return 0
    write_config >"$work/tollgate.toml"
    local listen
    listen=127.0.0.1:$(free_port)
    (cd "$work" && exec "$TOLLGATE_BIN" serve --config tollgate.toml --listen "$listen") >"$work/gateway.log" 2>&1 &
    children+=($!)
    export TOLLGATE_KEEPS=1 TOLLGATE_URL=http://$listen TOLLGATE_MODEL=chat TOLLGATE_FRESH_MODEL='fresh-{}/gpt-sim'
    export TOLLGATE_MODELS='anthropic/claude-sonnet-4-5 good/openai-sim gemini/gemini-2.5-flash bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0'
    for _ in $(seq 200); do
        python3 -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1])' "$TOLLGATE_URL/healthz" 2>/dev/null && return
        sleep 0.05
    done
    echo 'the gateway does not answer:' >&2
    cat "$work/gateway.log" >&2
    return 1
}

run_client() {
    case $1 in
    openai3 | openai2) python_for "$1" && "$tools/python-$1/bin/python" "$here/python/openai_chat.py" ;;
    responses) python_for openai3 && "$tools/python-openai3/bin/python" "$here/python/openai_responses.py" ;;
    others) python_for openai3 && "$tools/python-openai3/bin/python" "$here/python/openai_others.py" ;;
    langchain) python_for "$1" && "$tools/python-$1/bin/python" "$here/python/langchain_chat.py" ;;
    litellm) python_for "$1" && "$tools/python-$1/bin/python" "$here/python/litellm_chat.py" ;;
    boto3) python_for "$1" && "$tools/python-$1/bin/python" "$here/python/bedrock_runtime.py" ;;
    anthropic2) python_for "$1" && "$tools/python-$1/bin/python" "$here/python/anthropic_messages.py" ;;
    anthropic-node) node_modules && "$(node_binary)" "$tools/node/anthropic_messages.mjs" ;;
    others-node) node_modules && "$(node_binary)" "$tools/node/openai_others.mjs" ;;
    node) node_modules && "$(node_binary)" "$tools/node/openai_chat.mjs" ;;
    ai) node_modules && "$(node_binary)" "$tools/node/ai_sdk.mjs" ;;
    *) echo "unknown client '$1'" >&2 && return 1 ;;
    esac
}

# Proxies are for the outside; LiteLLM would fetch its price list from there.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
export PYTHONDONTWRITEBYTECODE=1 LITELLM_LOCAL_MODEL_COST_MAP=True
given=${TOLLGATE_URL:-}
clients=("$@")
[ ${#clients[@]} -gt 0 ] || clients=(openai3 openai2 responses others langchain litellm anthropic2 boto3 node others-node anthropic-node ai)
for client in "${clients[@]}"; do
    : >"$work/out"
    if [ -n "$given" ] || start; then
        run_client "$client" 2>&1 | tee "$work/out"
    fi
    summary=$(grep -oE '[0-9]+ passed, [0-9]+ failed$' "$work/out" | tail -n 1)
    if [ -n "$summary" ]; then
        read -r good _ bad _ <<<"$summary"
        passed=$((passed + good))
        failed=$((failed + bad))
    else
        echo "FAIL $client: did not run"
        failed=$((failed + 1))
    fi
done
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
