# Sourced: a Redis of its own while the script runs, at REDIS_URL.
redis_folder=$(mktemp -d)
trap '[ -z "${redis_server:-}" ] || kill "$redis_server" 2>/dev/null; rm -rf "$redis_folder"' EXIT
redis_port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --dir "$redis_folder" >"$redis_folder/log" 2>&1 &
redis_server=$!
for _ in $(seq 100); do redis-cli -p "$redis_port" ping >/dev/null 2>&1 && break; sleep 0.05; done
export REDIS_URL=redis://127.0.0.1:$redis_port
