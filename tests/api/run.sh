#!/usr/bin/env bash
# The admin API against its own OpenAPI document: schemathesis, with a fixed seed and bounded examples.
#
#   tests/api/run.sh [schemathesis options...]
#   tests/api/run.sh --install              installs schemathesis, and runs nothing
#
#   TOLLGATE_BIN      the gateway (target/release/tollgate, else target/debug)
#   TOLLGATE_URL      talk to this address and start nothing; its admin key is then TOLLGATE_ADMIN_KEY
#   TOLLGATE_TOOLS    where schemathesis is kept (~/.cache/tollgate-tools)
#   API_EXAMPLES      examples for each operation (8)
#
# Exits with 0 if no check failed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
work=$(mktemp -d)
child=

stop() {
    [ -n "$child" ] && kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
    rm -rf "$work"
}
trap stop EXIT

# shellcheck source=tests/sdk/libraries.sh
source "$root/tests/sdk/libraries.sh"
environment schemathesis "$here/requirements.txt" || exit 1
place="$tools/python-schemathesis"
if [ "${1:-}" = --install ]; then exit; fi

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

write_config() {
    cat <<'TOML'
[server]
admin_key = "env:TOLLGATE_ADMIN_KEY"
[store]
path = ":memory:"
[providers.openai]
key = "sk-upstream-planted-secret"
[[teams]]
name = "fixed"
[[keys]]
name = "static"
value = "tg-static-planted-secret"
team = "fixed"
TOML
}

start() {
    local gateway=${TOLLGATE_BIN:-} listen
    for built in "$root/target/release/tollgate" "$root/target/debug/tollgate"; do
        [ -z "$gateway" ] && [ -x "$built" ] && gateway=$built
    done
    [ -n "$gateway" ] || { echo 'no tollgate: build it or set TOLLGATE_BIN' >&2; return 1; }
    export TOLLGATE_ADMIN_KEY=admin-planted-secret-0123456789
    write_config >"$work/tollgate.toml"
    listen=127.0.0.1:$(free_port)
    (cd "$work" && exec "$gateway" serve --config tollgate.toml --listen "$listen") >"$work/gateway.log" 2>&1 &
    child=$!
    export TOLLGATE_URL=http://$listen
    for _ in $(seq 200); do
        python3 -c 'import sys, urllib.request as r; r.urlopen(sys.argv[1])' "$TOLLGATE_URL/healthz" 2>/dev/null && return
        sleep 0.05
    done
    echo 'the gateway does not answer:' >&2
    cat "$work/gateway.log" >&2
    return 1
}

export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost PYTHONDONTWRITEBYTECODE=1
[ -n "${TOLLGATE_URL:-}" ] || start || exit 1

# Something of each kind, for operations that need one.
python3 - <<'PYTHON' || exit 1
import json
import os
import urllib.request

for kind in ["organisations", "teams", "users", "tags", "keys"]:
    body = {"name": "probe", "budget": [{"usd": 1, "per": "never"}]}
    request = urllib.request.Request(os.environ["TOLLGATE_URL"] + "/api/" + kind, json.dumps(body).encode())
    request.add_header("Authorization", "Bearer " + os.environ["TOLLGATE_ADMIN_KEY"])
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 201, kind
PYTHON

cd "$work" || exit 1
SCHEMATHESIS_HOOKS=$here/hooks.py PYTHONPATH=$here "$place/bin/schemathesis" run "$TOLLGATE_URL/api/openapi.json" \
    --header "Authorization: Bearer $TOLLGATE_ADMIN_KEY" \
    --checks all --exclude-checks positive_data_acceptance \
    --phases examples,coverage,fuzzing \
    --seed 20261121 --max-examples "${API_EXAMPLES:-8}" --generation-database none \
    --max-response-time 5 --request-timeout 10 --workers 1 --no-color "$@"
result=$?

# What was planted must not show up in what the gateway wrote.
if [ -f "$work/gateway.log" ] && grep -q 'planted-secret' "$work/gateway.log"; then
    echo 'FAIL a secret is in the log'
    result=1
fi
if [ -n "$child" ] && ! kill -0 "$child" 2>/dev/null; then
    echo 'FAIL the gateway has stopped'
    tail -n 20 "$work/gateway.log"
    result=1
fi
exit $result
