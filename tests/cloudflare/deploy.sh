#!/usr/bin/env bash
# Takes wrangler.toml through `wrangler deploy --dry-run`, its build command included, with the pinned tools of
# build.sh, which must have run.
set -euo pipefail
cd "$(dirname "$0")/../.."

export TOLLGATE_TOOLS=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$TOLLGATE_TOOLS/target}
folder=$(tests/cloudflare/wrangler.sh)
node=$(ls "$folder"/node_modules/node*/bin/node | head -1)

tools=$(tests/cloudflare/tools.sh)
export WASM_BINDGEN_BIN="$TOLLGATE_TOOLS/bin/wasm-bindgen"
export ESBUILD_BIN="$tools/node_modules/.bin/esbuild" WASM_OPT_BIN="$tools/node_modules/.bin/wasm-opt"
# `cargo install` of the build command finds worker-build there already.
export CARGO_INSTALL_ROOT=$TOLLGATE_TOOLS PATH="$TOLLGATE_TOOLS/bin:$PATH"
export WRANGLER_SEND_METRICS=false CI=1

out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
"$node" "$folder/node_modules/wrangler/bin/wrangler.js" deploy --dry-run --outdir "$out/bundle" >"$out/said" 2>&1 || { cat "$out/said" >&2; exit 1; }
for expected in "env.LEDGER (Ledger)" "env.CONFIG" "env.TOLLGATE_CONFIG"; do
  grep -qF "$expected" "$out/said" || { cat "$out/said" >&2; echo "wrangler does not bind $expected" >&2; exit 1; }
done
if grep -q WARNING "$out/said"; then cat "$out/said" >&2; echo "wrangler warns" >&2; exit 1; fi
grep "Total Upload" "$out/said"
