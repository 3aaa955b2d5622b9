#!/usr/bin/env bash
# The compiled component on its host: what only this platform can do wrong, and what its instances share.
#
#   TOLLGATE_SIM_BIN         the simulated provider (built if it is not given)
#   TOLLGATE_SPIN_COMPONENT  the component (built if it is not given)
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.."
export TOLLGATE_TOOLS=${TOLLGATE_TOOLS:-$HOME/.cache/tollgate-tools}
if [ -z "${TOLLGATE_SIM_BIN:-}" ]; then
    cargo build --quiet --package tollgate-sim
    export TOLLGATE_SIM_BIN=${CARGO_TARGET_DIR:-target}/debug/tollgate-sim
fi
export TOLLGATE_SPIN_COMPONENT=${TOLLGATE_SPIN_COMPONENT:-$("$here/build.sh")}
raw=$(wc -c <"$TOLLGATE_SPIN_COMPONENT")
small=$(gzip -9c "$TOLLGATE_SPIN_COMPONENT" | wc -c)
echo "component: $raw bytes, $small gzipped"

. "$here/redis.sh"
SPIN_RUN=test "$here/serve.sh" "$here/check.test.mjs"
"$here/up.sh"
