#!/bin/sh
# Makes the keyrings in this folder from packages of Debian in which distributions' keys are published. To be run on a
# Debian machine: its apt checks the packages, so a key gets in here only by way of keys that the machine trusts already.
# Look at the fingerprints that it prints before you commit, and write what has changed into README.md.
set -eu

# The release whose packages are taken; the mirror is the machine's own, or that of the first argument.
suite=trixie
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
chmod 755 "$work"
trap 'rm -rf "$work"' EXIT
cd "$work"

mirror=${1:-$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep '/debian$' | head -1)}
mkdir -p lists/partial archives/partial
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $mirror $suite main" >sources.list
from_suite() {
  apt-get -qq -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/nonexistent \
    -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o Acquire::Languages=none \
    -o APT::Sandbox::User=root "$@"
}
from_suite update
from_suite download debian-archive-keyring ubuntu-keyring distribution-gpg-keys
for package in *.deb; do
  dpkg-deb -x "$package" unpacked
  dpkg-deb -f "$package" Package Version
done

# export_keys NAME FILE…: all keys of some files as NAME.asc, the shortest form that still verifies.
export_keys() {
  name=$1
  shift
  home=home-$name
  mkdir -m 700 "$home"
  for file in "$@"; do
    gpg --homedir "$home" --batch --quiet --no-auto-check-trustdb --import "$file"
  done
  gpg --homedir "$home" --batch --quiet --armor --export-options export-minimal --export >"$name.asc"
  echo "== $name.asc"
  gpg --homedir "$home" --batch --quiet --with-colons --list-keys | awk -F: '$1 == "fpr" || $1 == "uid" { print $10 }'
  gpgconf --homedir "$home" --kill all
  mv "$name.asc" "$here/$name.asc"
}

keyrings=unpacked/usr/share/keyrings
export_keys debian-archive-keyring "$keyrings"/debian-archive-keyring.pgp
# For releases that have left the mirrors, and for nothing else.
export_keys debian-archive-removed-keys "$keyrings"/debian-archive-removed-keys.pgp
export_keys ubuntu-archive-keyring "$keyrings"/ubuntu-archive-keyring.gpg
export_keys ubuntu-dbgsym-keyring "$keyrings"/ubuntu-dbgsym-keyring.gpg

# rpm_keys NAME FILE…: the same of files of distribution-gpg-keys, names as globs.
rpm_keys() {
  name=$1
  shift
  # shellcheck disable=SC2046 # the names have no blanks, and stars are meant
  export_keys "$name" $(printf 'unpacked/usr/share/distribution-gpg-keys/%s\n' "$@")
}
rpm_keys opensuse opensuse/RPM-GPG-KEY-openSUSE opensuse/RPM-GPG-KEY-openSUSE-2022 \
  opensuse/RPM-GPG-KEY-openSUSE-Leap-SLE opensuse/RPM-GPG-KEY-openSUSE-Backports \
  opensuse/RPM-GPG-KEY-openSUSE-Backports-2023 suse/RPM-GPG-KEY-SuSE-SLE-15 suse/RPM-GPG-KEY-SuSE-SLE-Main-2023
rpm_keys centos centos/RPM-GPG-KEY-CentOS-7 centos/RPM-GPG-KEY-CentOS-7-aarch64 centos/RPM-GPG-KEY-CentOS-Debug-7 \
  centos/RPM-GPG-KEY-CentOS-Official centos/RPM-GPG-KEY-CentOS-Official-SHA256
rpm_keys rocky rocky/RPM-GPG-KEY-rockyofficial rocky/RPM-GPG-KEY-Rocky-9 rocky/RPM-GPG-KEY-Rocky-10
rpm_keys almalinux alma/RPM-GPG-KEY-AlmaLinux-8 alma/RPM-GPG-KEY-AlmaLinux-9 alma/RPM-GPG-KEY-AlmaLinux-10
# These sign packages only.
rpm_keys fedora 'fedora/RPM-GPG-KEY-fedora-2[4-6]-secondary' 'fedora/RPM-GPG-KEY-fedora-2[4-9]-primary' \
  'fedora/RPM-GPG-KEY-fedora-3?-primary' 'fedora/RPM-GPG-KEY-fedora-4?-primary'
rpm_keys oracle oraclelinux/RPM-GPG-KEY-oracle-ol7 oraclelinux/RPM-GPG-KEY-oracle-ol8 \
  oraclelinux/RPM-GPG-KEY-oracle-ol9
rpm_keys amazon amazon-linux/RPM-GPG-KEY-amazon-linux-2 amazon-linux/RPM-GPG-KEY-amazon-linux-2023
rpm_keys anolis anolis/RPM-GPG-KEY-ANOLIS
rpm_keys redhat redhat/RPM-GPG-KEY-redhat9-release
