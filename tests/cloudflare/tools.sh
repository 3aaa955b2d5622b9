#!/usr/bin/env bash
# Installs what tests of the Worker need from npm, and prints the folder it is in.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
folder=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}/cloudflare
if ! cmp -s "$here/package-lock.json" "$folder/installed.json"; then
  mkdir -p "$folder"
  cp "$here/package.json" "$here/package-lock.json" "$folder/"
  (cd "$folder" && npm ci --no-audit --no-fund --silent) >&2
  cp "$here/package-lock.json" "$folder/installed.json"
fi
echo "$folder"
