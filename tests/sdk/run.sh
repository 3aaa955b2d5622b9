#!/usr/bin/env bash
# Real client libraries against a gateway, or against the simulated provider itself.
#
#   tests/sdk/run.sh [client...]         clients: the first column of clients.txt; all if none is named
#   tests/sdk/run.sh --install           installs the libraries of all, and runs none
#
#   TOLLGATE_SIM_BIN  the simulator (target/release/tollgate-sim, else target/debug)
#   TOLLGATE_BIN      the gateway; without it the clients talk to the simulator, which proves
#                     the checks themselves
#   TOLLGATE_URL      talk to this address and start nothing; then TOLLGATE_SIM_URL is where the
#                     simulator behind it listens, and TOLLGATE_KEY, TOLLGATE_MODEL and
#                     TOLLGATE_FRESH_MODEL are as in harness.py
#                     (and TOLLGATE_KEEPS=1 if it keeps responses)
#   TOLLGATE_TOOLS    where the libraries are kept (~/.cache/tollgate-tools)
#   SDK_AT_ONCE       so many clients run at the same time (one for each processor)
#
# Each client has a gateway and a simulator of its own, so that none inherits another's failures.
# The last line says how many checks passed and failed; the exit code is 0 if none failed.
set -u

here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
tools=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

source "$here/libraries.sh"
source "$here/gateway.sh"

# The environment or the script of a client, by the column of clients.txt.
of() { awk -v client="$1" -v column="$2" '$1 == client { print $column }' "$here/clients.txt"; }

# One client, from its gateway's start to its last line.
play() {
    local work=$work/$1 script
    script=$(of "$1" 3)
    mkdir "$work"
    trap stop EXIT
    [ -n "$given" ] || start || return 1
    case $script in
    *.py) "$tools/python-$(of "$1" 2)/bin/python" "$here/python/$script" ;;
    *.mjs) "$(node_binary)" "$tools/node/$script" ;;
    *) echo "unknown client '$1'" && return 1 ;;
    esac
}

# Prints what a client said, and adds up its last line.
tell() {
    local summary good bad
    cat "$work/$1.out"
    summary=$(grep -oE '[0-9]+ passed, [0-9]+ failed$' "$work/$1.out" | tail -n 1)
    if [ -n "$summary" ]; then
        read -r good _ bad _ <<<"$summary"
        passed=$((passed + good))
        failed=$((failed + bad))
    else
        echo "FAIL $1: did not run"
        failed=$((failed + 1))
    fi
}

# Proxies are for the outside; LiteLLM would fetch its price list from there.
export NO_PROXY=127.0.0.1,localhost no_proxy=127.0.0.1,localhost
export PYTHONDONTWRITEBYTECODE=1 LITELLM_LOCAL_MODEL_COST_MAP=True
given=${TOLLGATE_URL:-}
at_once=${SDK_AT_ONCE:-$(nproc)}
# Those who share a gateway that was started elsewhere would find each other's failures.
[ -z "$given" ] || at_once=1
only_install=
if [ "${1:-}" = --install ]; then only_install=1 && shift; fi
clients=("$@")
[ ${#clients[@]} -gt 0 ] || read -ra clients <<<"$(awk '!/^#/ && NF { printf "%s ", $1 }' "$here/clients.txt")"
passed=0
failed=0

for client in "${clients[@]}"; do
    install "$(of "$client" 2)" || exit 1
done
[ -z "$only_install" ] || exit 0

running=0
told=0
pids=()
for client in "${clients[@]}"; do
    if [ "$running" -ge "$at_once" ]; then
        wait "${pids[$told]}"
        tell "${clients[$told]}"
        told=$((told + 1))
        running=$((running - 1))
    fi
    play "$client" >"$work/$client.out" 2>&1 &
    pids+=($!)
    running=$((running + 1))
done
for ((; told < ${#clients[@]}; told++)); do
    wait "${pids[$told]}"
    tell "${clients[$told]}"
done
# Once more, where they are found at once.
if [ "$failed" -gt 0 ]; then
    printf '\nwhat failed:\n'
    for client in "${clients[@]}"; do
        awk '/^FAIL /{ left = 40 } /^ok  / || / passed, /{ left = 0 } left-- > 0' "$work/$client.out"
    done
fi
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
