# The client libraries, each environment with exactly the versions listed for it. Sourced by run.sh, here and in api.

# Installs in seconds what takes pip minutes, since what environments share is unpacked once.
uv_version=0.13.9

# An environment by its name: `node`, or one that python/NAME.txt lists.
install() {
    case $1 in
    node) node_modules ;;
    '') echo 'no such client in clients.txt' >&2 && return 1 ;;
    *) environment "$1" "$here/python/$1.txt" ;;
    esac
}

uv() {
    local place="$tools/uv-$uv_version"
    if ! [ -x "$place/bin/uv" ]; then
        python3 -m venv "$place" && "$place/bin/pip" install --quiet "uv==$uv_version" >&2 || return 1
    fi
    UV_CACHE_DIR="$tools/uv-cache" UV_PYTHON_DOWNLOADS=never "$place/bin/uv" --quiet --no-config "$@"
}

# A Python environment with exactly what a file lists: environment NAME FILE.
environment() {
    local wanted=$2 place="$tools/python-$1"
    if ! cmp -s "$wanted" "$place/installed.txt"; then
        uv venv --clear --python python3 "$place" >&2 || return 1
        uv pip install --python "$place/bin/python" --compile-bytecode --no-deps --requirement "$wanted" >&2 || return 1
        cp "$wanted" "$place/installed.txt"
    fi
}

# The Node packages; scripts import them from a copy beside them.
node_modules() {
    local place="$tools/node"
    mkdir -p "$place"
    if ! cmp -s "$here/node/package-lock.json" "$place/installed.json"; then
        cp "$here/node/package.json" "$here/node/package-lock.json" "$here/node/.npmrc" "$place/"
        (cd "$place" && npm ci --ignore-scripts --no-fund --no-audit --loglevel=error >&2) || return 1
        cp "$here/node/package-lock.json" "$place/installed.json"
    fi
    cp "$here"/node/*.mjs "$place/"
}

# The system's Node if it is new enough for every client, else the packaged one.
node_binary() {
    local found
    if node -e 'process.exit(parseInt(process.versions.node) >= 22 ? 0 : 1)' 2>/dev/null; then
        echo node
        return
    fi
    for found in "$tools"/node/node_modules/node-*/bin/node; do
        [ -x "$found" ] && echo "$found" && return
    done
    echo node
}
