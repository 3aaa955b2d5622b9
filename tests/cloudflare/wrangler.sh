#!/usr/bin/env bash
# Installs wrangler, and a Node beside it that is new enough for it, and prints the folder they are in.
set -euo pipefail
folder=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}/wrangler packages="wrangler@4.164.0 node@26.9.0"
if [ "$(cat "$folder/installed" 2>/dev/null)" != "$packages" ]; then
  mkdir -p "$folder"
  # shellcheck disable=SC2086 # two packages
  npm install --prefix "$folder" --no-audit --no-fund --silent $packages >&2
  echo "$packages" >"$folder/installed"
fi
echo "$folder"
