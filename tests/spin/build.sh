#!/usr/bin/env bash
# Builds the component as `spin build` does, and prints where it is.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --quiet --locked --profile wasm --target wasm32-wasip2 --package tollgate-spin >&2
echo "${CARGO_TARGET_DIR:-target}/wasm32-wasip2/wasm/tollgate_spin.wasm"
