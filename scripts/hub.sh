#!/usr/bin/env bash
# A hub of real kernels, from nothing to a `get`: what `make hub` shows. PORT and BTFHUB_DATA may be set.
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PATH:/usr/sbin:/sbin"
export BTFHUB_DATA="${BTFHUB_DATA:-data/hub}"
port="${PORT:-8080}"
hub="http://127.0.0.1:$port"
arch="$(uname -m)"

step() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
# What is run is told on stderr: stdout may be captured.
show() { printf '$ %s\n' "$*" >&2; "$@"; }

step "The newest cloud kernel of each Debian series, from the image that carries its BTF"
# A mirror that lacks a suite or a package says so in the report; the kernels that came are served all the same.
show bin/btfhub crawl debian --arch "$arch" --release '-cloud-' --newest 1 || [ $? -eq 75 ] || [ $? -eq 1 ]

step "One more from DWARF, as for kernels that carry no BTF"
# Indexes name debug packages that a mirror may have dropped: then the next older kernel is tried.
for _ in 1 2 3 4 5; do
  show bin/btfhub crawl debian --version 12 --arch "$arch" --release '^6\.1\..*-cloud-' --newest 9 --limit 1 --force-dwarf && break
done

step "What the hub has"
show bin/btfhub list

step "A sample CO-RE tool, and its min BTF for every kernel"
make --silent -C examples/c
show bin/btfhub tool add execwatch@1 examples/c/build/execwatch.bpf.o

step "The registry on port $port"
bin/btfhub serve --port "$port" &
server=$!
trap 'kill $server 2>/dev/null || true' EXIT
trap 'exit 0' INT TERM
for _ in $(seq 50); do
  kill -0 $server 2>/dev/null || exit 1
  if node -e "fetch('$hub/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"; then break; fi
  sleep 0.2
done

release="$(bin/btfhub list --json | node -e '
  const builds = JSON.parse(require("fs").readFileSync(0, "utf8"))
  console.log(builds.at(-1).kernel.release)')"
cache="$(mktemp -d)"
step "btfhub get $release"
full="$(show bin/btfhub get "$release" --hub "$hub" --arch "$arch" --cache "$cache")"
min="$(show bin/btfhub get "$release" --hub "$hub" --arch "$arch" --cache "$cache" --tool execwatch)"
wc -c "$full" "$min" | sed '$d; s/^/  /'
rm -rf "$cache"

step "The hub is up: $hub (Ctrl-C ends it)"
echo "  bin/btfhub get $release --hub $hub --arch $arch"
echo "  curl -fsS $hub/v1/min/execwatch/$release?arch=$arch -o min.btf"
wait $server
