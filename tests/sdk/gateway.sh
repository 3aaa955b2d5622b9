# A gateway in front of a simulator, for one client. Sourced by run.sh; files go to $work.

fresh=60
children=()

stop() {
    for child in ${children[@]+"${children[@]}"}; do
        kill "$child" 2>/dev/null && wait "$child" 2>/dev/null
    done
    children=()
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

# One model for good answers, many for bad ones; one key for everything, one for a call at a time.
write_config() {
    cat <<TOML
[store]
path = ":memory:"
responses = "1d"
[[keys]]
name = "sdk"
value = "$TOLLGATE_KEY"
[[keys]]
name = "narrow"
value = "$TOLLGATE_NARROW_KEY"
concurrency = 1
[models.chat]
targets = [{ to = "good/gpt-sim" }]
TOML
    for name in good $(seq -f 'fresh-%g' 0 $((fresh - 1))); do
        write_provider "$name" openai v1
    done
    write_provider anthropic anthropic v1
    write_provider gemini gemini v1beta
    write_provider mistral mistral v1
    # Cohere's own client is served by providers of its dialect alone.
    for name in cohere $(seq -f 'cohere-%g' 0 11); do
        write_provider "$name" cohere v2
    done
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

# Starts what is under test.
start() {
    local simulator=${TOLLGATE_SIM_BIN:-}
    for built in "$root/target/release/tollgate-sim" "$root/target/debug/tollgate-sim"; do
        [ -z "$simulator" ] && [ -x "$built" ] && simulator=$built
    done
    [ -n "$simulator" ] || { echo 'no tollgate-sim: build it or set TOLLGATE_SIM_BIN' >&2; return 1; }
    export TOLLGATE_KEY=sk-tollgate-test TOLLGATE_NARROW_KEY=sk-tollgate-narrow
    "$simulator" --listen 127.0.0.1:0 --expect-key "$TOLLGATE_KEY" >"$work/sim.log" 2>&1 &
    children+=($!)
    TOLLGATE_SIM_URL=$(address_in "$work/sim.log" tollgate-sim) || return 1
    export TOLLGATE_SIM_URL TOLLGATE_URL=$TOLLGATE_SIM_URL
    [ -n "${TOLLGATE_BIN:-}" ] || return 0
    write_config >"$work/tollgate.toml"
    (cd "$work" && exec "$TOLLGATE_BIN" serve --config tollgate.toml --listen 127.0.0.1:0) >"$work/gateway.log" 2>&1 &
    children+=($!)
    TOLLGATE_URL=$(address_in "$work/gateway.log" tollgate) || return 1
    export TOLLGATE_KEEPS=1 TOLLGATE_URL TOLLGATE_MODEL=chat TOLLGATE_FRESH_MODEL='fresh-{}/gpt-sim'
    export TOLLGATE_MODELS='anthropic/claude-sonnet-4-5 good/openai-sim gemini/gemini-2.5-flash bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0'
}
