#!/usr/bin/env bash
# Builds the Worker as `wrangler deploy` would, with pinned tools that are kept in $TOLLGATE_TOOLS, and says
# how large it is. Prints the folder with index.js and index_bg.wasm as its last line.
#
#   tests/cloudflare/build.sh [--panic-unwind [--features panics]] [--features exact-count]
set -euo pipefail
cd "$(dirname "$0")/../.."

export TOLLGATE_TOOLS=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$TOLLGATE_TOOLS/target}
worker_build=0.8.7
wasm_bindgen=$(sed -n 's/^wasm-bindgen = "=\([0-9.]*\)".*/\1/p' Cargo.toml)
most=$((900 * 1024))
folder=build unwind=() features=()
# Neither unwinding nor tokenizers are for those who count bytes, and that whoever asks can make it panic is for tests.
# They are built beside the other, in folders of their own, since what is built in one folder with other features is
# taken for what was there. Each begins with what the other has built of the crates below.
beside=
case " $* " in *" --panic-unwind "*) most=1200000 beside=unwind unwind=(--panic-unwind) ;; esac
case " $* " in *" exact-count "*) most=3400000 beside=$beside${beside:+-}exact features=(--features exact-count) ;; esac
case " $* " in *" panics "*) beside=$beside${beside:+-}panics features=(--features panics) ;; esac
if [ -n "$beside" ]; then
  folder=build-$beside from=$CARGO_TARGET_DIR
  export CARGO_TARGET_DIR=$from/$beside
  if [ ! -e "$CARGO_TARGET_DIR" ] && [ -d "$from/wasm32-unknown-unknown/wasm" ]; then
    mkdir -p "$CARGO_TARGET_DIR/wasm32-unknown-unknown"
    cp -a --reflink=auto "$from/wasm" "$CARGO_TARGET_DIR/"
    cp -a --reflink=auto "$from/wasm32-unknown-unknown/wasm" "$CARGO_TARGET_DIR/wasm32-unknown-unknown/"
  fi
fi

tests/tool.sh wasm-bindgen-cli "$wasm_bindgen"
tests/tool.sh worker-build "$worker_build"

# worker-build asks for a nightly by name, since unwinding is not stable yet. Nightlies change from day to day, so here
# the toolchain that builds all else does it, by the switch that its own library is built with, and the library's source.
if [ ${#unwind[@]} -gt 0 ]; then
  rustup component add rust-src >/dev/null 2>&1
  by=$(mktemp -d)
  trap 'rm -rf "$by"' EXIT
  for tool in cargo rustc rustup; do
    real=$(command -v "$tool")
    printf '#!/bin/sh\n[ "$1" = +nightly ] && shift\n[ "$4" = nightly ] && set -- "$1" "$2"\nRUSTC_BOOTSTRAP=1 exec "%s" "$@"\n' "$real" >"$by/$tool"
    chmod +x "$by/$tool"
  done
  export PATH="$by:$PATH"
fi

node=$(tests/cloudflare/tools.sh)
export WASM_BINDGEN_BIN="$TOLLGATE_TOOLS/bin/wasm-bindgen"
export ESBUILD_BIN="$node/node_modules/.bin/esbuild" WASM_OPT_BIN="$node/node_modules/.bin/wasm-opt"
(cd edge-cloudflare && "$TOLLGATE_TOOLS/bin/worker-build" --profile wasm --out-dir "$folder" "${unwind[@]}" . "${features[@]}" && node pack.mjs "$folder/index_bg.wasm") >&2

built=$PWD/edge-cloudflare/$folder
size=$(cat "$built/index.js" "$built/index_bg.wasm" | gzip -9 | wc -c)
echo "worker: $(cat "$built/index.js" "$built/index_bg.wasm" | wc -c) bytes, $size gzipped (at most $most)" >&2
[ "$size" -le "$most" ] || { echo "the worker is too large" >&2; exit 1; }
echo "$built"
