#!/usr/bin/env bash
# The conformance cases about what is kept, with the component given other stores than a database:
# `tests/spin/stores.sh RUNNER`, the runner being tollgate-conformance.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
runner=$1
. "$here/redis.sh"
for stores in key-value redis; do
    for area in limits/ spend/ keys/ setup/; do
        [ "$stores/$area" != redis/setup/ ] || continue
        echo "with $stores: $area"
        TOLLGATE_SPIN_STORES=$stores "$runner" play spin "$area" | grep -v '^ok' || [ "${PIPESTATUS[0]}" = 0 ]
    done
done
