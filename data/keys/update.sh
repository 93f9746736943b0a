#!/bin/sh
# Makes the keyrings in this folder from the packages in which distributions publish them. To be run on a Debian machine:
# its apt checks the package, so a key gets in here only by way of keys that the machine trusts already.
# Look at the fingerprints that it prints before you commit.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"

apt-get download debian-archive-keyring
dpkg-deb -x debian-archive-keyring_*.deb unpacked

# export KEYRING: all of its keys, the shortest form that still verifies.
export_keys() {
  name=$1
  keyring=unpacked/usr/share/keyrings/$name
  [ -e "$keyring.gpg" ] && keyring=$keyring.gpg || keyring=$keyring.pgp
  rm -rf home
  mkdir -m 700 home
  gpg --homedir home --batch --quiet --no-auto-check-trustdb --import "$keyring"
  gpg --homedir home --batch --quiet --armor --export-options export-minimal --export >"$name.asc"
  gpg --homedir home --batch --quiet --with-colons --list-keys | awk -F: '$1 == "fpr" || $1 == "uid" { print $10 }'
  mv "$name.asc" "$here/$name.asc"
}

export_keys debian-archive-keyring
# For releases that have left the mirrors, and for nothing else.
export_keys debian-archive-removed-keys
