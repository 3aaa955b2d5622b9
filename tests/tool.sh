#!/usr/bin/env bash
# Installs the programs of a crate, at the version given, into $TOLLGATE_TOOLS/bin, unless they are there.
#
#   tests/tool.sh CRATE VERSION
#
# Quick to compile rather than quick to run: they run for seconds.
set -euo pipefail
tools=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
mkdir -p "$tools"
exec 9>"$tools/crates.lock"
flock 9
if grep -qsF "\"$1 $2 " "$tools/.crates.toml"; then exit; fi
if [ "$1" = worker-build ] && ! pkg-config --exists openssl; then
  apt-get install -qy libssl-dev pkg-config >&2
fi
export CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16
cargo install "$1@$2" --locked --quiet --root "$tools" >&2
