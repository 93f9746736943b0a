#!/bin/sh
# Gets verified kernel BTF from a btfhub. Needs a POSIX shell, curl or wget, and what every system has.
# Nothing runs before the last line, so that a script that was cut off does nothing.

hubs=${BTFHUB_URL:-'@HUB@'}

usage() {
  cat <<'EOF'
usage: get.sh [options] [RELEASE]

Prints the path of a verified BTF for a kernel: by default for this host's, and then the kernel's own where it
has one.

  --tool NAME[@VERSION]  the min BTF for a tool that the hub knows
  --arch ARCH            architecture, as `uname -m` prints it
  --distro ID            os-release ID
  --version ID           os-release VERSION_ID
  --build-id HEX         GNU build-id of the kernel
  --banner TEXT          the text of /proc/version
  --like                 also take the BTF of what the distribution is a clone of
  --predict              with --tool, for a kernel that no hub has: a guess from its neighbours
  -o, --output FILE      where to write it; default RELEASE.btf in this folder
  --hub "URL ..."        hubs to ask, in order; also BTFHUB_URL
  --force                ask a hub even where this host's kernel has BTF
  --timeout SECONDS      give up after so long (600), waiting for a hub that is still fetching it included
  -h, --help             this

All facts default to this host's when RELEASE is this host's. BTFHUB_ROOT is a folder in which the host's files
are, /host in many containers. A hub that is ill is asked three times, BTFHUB_PAUSE seconds (1) apart at first.

exit code: 0 done, 1 failed, 2 wrong usage, 3 not found, 4 ambiguous, 5 could not be verified, 75 try again later
EOF
}

say() {
  printf 'btfhub: %s\n' "$*" >&2
}

die() {
  code=$1
  shift
  say "$*"
  exit "$code"
}

have() {
  command -v "$1" >/dev/null 2>&1
}

# Bytes of stdin as two hex digits each, between blanks.
hex() {
  if have od; then
    od -An -v -tx1
  elif have hexdump; then
    hexdump -v -e '1/1 " %02x"'
  else
    die 1 'neither od nor hexdump is here'
  fi
}

# A string as a URL takes it anywhere: every byte percent-encoded.
encode() {
  printf %s "$1" | hex | tr -d ' \t\n' | sed 's/../%&/g'
}

# The sha256 of a file; nothing where no program can tell.
sha256() {
  if have sha256sum; then
    sha256sum <"$1" | sed 's/ .*//'
  elif have shasum; then
    shasum -a 256 <"$1" | sed 's/ .*//'
  elif have openssl; then
    openssl dgst -sha256 <"$1" | sed 's/.*[= ]//'
  fi
}

# The GNU build-id in ELF notes (elf(5)) of which the bytes are given in hex; nothing where there is none.
gnu_build_id() {
  big=0
  # The first note's name is short, so the first byte of its length tells the byte order.
  if [ "${1:-}" = 00 ]; then big=1; fi
  while [ $# -ge 12 ]; do
    if [ "$big" = 1 ]; then
      name=$((0x$1$2$3$4)) desc=$((0x$5$6$7$8)) type=$((0x$9${10}${11}${12}))
    else
      name=$((0x$4$3$2$1)) desc=$((0x$8$7$6$5)) type=$((0x${12}${11}${10}$9))
    fi
    shift 12
    padded_name=$(((name + 3) / 4 * 4)) padded_desc=$(((desc + 3) / 4 * 4))
    if [ "$padded_name" -lt 0 ] || [ "$padded_desc" -lt 0 ]; then return; fi
    if [ "$padded_name" -gt $# ] || [ "$padded_desc" -gt $(($# - padded_name)) ]; then return; fi
    if [ "$type" = 3 ] && [ "$name" = 4 ] && [ "$1$2$3$4" = 474e5500 ]; then
      shift 4
      while [ "$desc" -gt 0 ]; do
        printf %s "$1"
        shift
        desc=$((desc - 1))
      done
      return
    fi
    shift $((padded_name + padded_desc))
  done
}

# A value of os-release, quotes and all: the hub takes them off.
os_release() {
  for file in "$root/etc/os-release" "$root/usr/lib/os-release"; do
    if [ -r "$file" ]; then
      sed -n "s/^$1=//p" "$file" | tail -n 1
      return
    fi
  done
}

# Seconds until all has to be done; at least one, since 0 means "for ever" to downloaders.
left() {
  left=$((deadline - $(date +%s)))
  if [ "$left" -lt 1 ]; then left=1; fi
  echo "$left"
}

# Downloads a URL to a file and sets `status`: the HTTP status, or 000 where there was no whole answer.
download() {
  rm -f "$2"
  # wget has no limit of its own for a body that trickles.
  limit=''
  if have timeout && timeout 1 uname >/dev/null 2>&1; then limit="timeout $(left)"; fi
  if have curl; then
    status=$(curl -sSL --proto =http,https --connect-timeout 15 --max-time "$(left)" -H "$prefer" \
      ${gzip:+-H} ${gzip:+"$gzip"} -o "$2" -w '%{http_code}' "$1" 2>"$tmp/err") || status=000
  elif wget --version 2>/dev/null | grep -q 'GNU Wget'; then
    if LC_ALL=C $limit wget -nv -S -t 1 -T 60 --content-on-error --header="$prefer" ${gzip:+"--header=$gzip"} \
      -O "$2" "$1" 2>"$tmp/err"; then
      status=200
    else
      status=$(status_of "$tmp/err")
    fi
  # busybox: some builds have no -T, and crash on it.
  elif $limit wget --header "$prefer" ${gzip:+--header "$gzip"} -O "$2" "$1" 2>"$tmp/err"; then
    status=200
  else
    status=$(status_of "$tmp/err")
  fi
}

# The last HTTP status in what wget said, where it is one of failure.
status_of() {
  said=$(sed -n 's/.*HTTP\/[0-9.]* \([0-9][0-9][0-9]\).*/\1/p' "$1" | tail -n 1)
  case $said in
    [45]*) echo "$said" ;;
    *) echo 000 ;;
  esac
}

# The same, three times where the hub or the way to it is ill.
download_patiently() {
  for try in 1 2 3; do
    download "$1" "$2"
    case $status in
      000 | 429 | 5*) if is_pending "$2" || [ "$(left)" = 1 ]; then return; fi ;;
      *) return ;;
    esac
    if [ "$try" != 3 ]; then sleep $((try * ${BTFHUB_PAUSE:-1})); fi
  done
}

# Whether the hub is still fetching what is asked for; sets `retry`, after how many seconds to ask again.
is_pending() {
  retry=
  if [ -f "$1" ]; then retry=$(sed -n 's/^ *"retry_after": \([0-9]\{1,4\}\),\{0,1\}$/\1/p' "$1" | head -n 1); fi
  [ -n "$retry" ]
}

# Why the hub said no: the detail of its problem document, else what the downloader said.
reason() {
  detail=
  if [ -f "$1" ]; then
    detail=$(sed -n 's/^ *"detail": "\(.*\)",\{0,1\}$/\1/p' "$1")
  fi
  if [ -z "$detail" ]; then detail=$(cat "$tmp/err"); fi
  # Others wrote it, and it goes to a terminal.
  printf %s "$detail" | LC_ALL=C tr -c '\040-\176' ' '
}

# Whether what came is from a server of plain files: it looks at no query, and says no without a hub's words.
is_plain_files() {
  case $status in
    200) ! grep -q '^[0-9a-f]\{64\}  ' "$tmp/line" ;;
    403 | 404) ! grep -q '"code"' "$tmp/line" ;;
    *) return 1 ;;
  esac
}

# Finds in the lines of /v1/releases, newest first, what a hub would answer by the same rules, and leaves that line in
# $tmp/line. Else what the script would exit with.
choose_build() {
  wanted_distro=$(printf %s "$distro" | tr -d "\"'") wanted_version=$(printf %s "$version" | tr -d "\"'")
  case $arch in
    amd64 | x86) wanted_arch=x86_64 ;;
    arm64) wanted_arch=aarch64 ;;
    *) wanted_arch=$arch ;;
  esac
  for by in build-id banner name; do
    btfs='' layouts=''
    while read -r kind btf layout of_distro of_version of_arch ids text; do
      if [ "$kind" != build ] || [ "$of_arch" != "$wanted_arch" ] || ! is_wanted "$by"; then continue; fi
      btfs="$btfs $btf"
      case " $layouts " in *" $layout "*) ;; *) layouts="$layouts $layout" ;; esac
    done <"$tmp/line"
    if [ -n "$btfs" ]; then break; fi
  done
  if [ -z "$btfs" ]; then say "$hub: $release is there for others, not as it was described" && return 3; fi
  # shellcheck disable=SC2086 # words
  if [ -n "$tool" ]; then choose_min $btfs; else choose_one $layouts; fi || return
  # shellcheck disable=SC2086 # words
  if [ -z "$tool" ]; then set -- $btfs && digest=$1; fi
  printf '%s  %s.btf\n' "$digest" "$release" >"$tmp/line"
}

# Whether nothing that is known of a build speaks against it, and it is known by what it is looked for by.
is_wanted() {
  case ",$ids," in
    *",$build_id,"*) by_id=1 ;;
    *) by_id='' ;;
  esac
  if [ -n "$build_id" ] && [ "$ids" != - ] && [ -z "$by_id" ]; then return 1; fi
  if [ -n "$banner" ] && [ "$text" != - ] && [ "$text" != "$banner" ]; then return 1; fi
  case $1 in
    build-id) [ -n "$build_id" ] && [ -n "$by_id" ] ;;
    banner) [ -n "$banner" ] && [ "$text" = "$banner" ] ;;
    *)
      [ "${wanted_distro:-$of_distro}" = "$of_distro" ] &&
        { [ "${wanted_version:-$of_version}" = "$of_version" ] || [ "${wanted_version%%.*}" = "$of_version" ]; }
      ;;
  esac
}

# Several different ones are ambiguous.
choose_one() {
  if [ $# = 1 ]; then return; fi
  say "$hub: $release means $# different kernels here; say more with --distro, --version, --build-id or --banner"
  return 4
}

# The min BTF of the tool for these BTFs, of its newest version where none was said; sets `digest`.
choose_min() {
  mins=''
  for full in "$@"; do
    of_full=''
    while read -r kind spec btf min; do
      if [ "$kind" != min ] || [ "$btf" != "$full" ] || [ -n "$of_full" ]; then continue; fi
      if [ "$spec" = "$tool" ] || [ "${spec%@*}" = "$tool" ]; then of_full=$min; fi
    done <"$tmp/line"
    if [ -z "$of_full" ]; then say "$hub: no tool $tool" && return 3; fi
    if [ "$of_full" = - ]; then say "$hub: $tool does not fit $release" && return 2; fi
    case " $mins " in *" $of_full "*) ;; *) mins="$mins $of_full" ;; esac
  done
  # shellcheck disable=SC2086 # words
  choose_one $mins || return
  digest=${mins# }
}

# Asks one hub. 0: $tmp/btf is there and verified. 6: it is still fetching it, see is_pending. Else what the script would
# exit with.
ask() {
  hub=${1%/}
  what="$hub/v1/btf/$(encode "$release")"
  if [ -n "$tool" ]; then what="$hub/v1/min/$(encode "$tool")/$(encode "$release")"; fi

  download_patiently "$what?format=sha256$query" "$tmp/line"
  if is_pending "$tmp/line"; then say "$hub: $(reason "$tmp/line")" && return 6; fi
  if is_plain_files; then
    download_patiently "$hub/v1/releases/$(encode "$release")" "$tmp/line"
    if [ "$status" = 200 ] && grep -q '^build ' "$tmp/line"; then choose_build || return; fi
  fi
  case $status in
    200) ;;
    404) say "$hub: $(reason "$tmp/line")" && return 3 ;;
    409) say "$hub: $(reason "$tmp/line")" && return 4 ;;
    400) say "$hub: $(reason "$tmp/line")" && return 2 ;;
    *) say "$hub: $(reason "$tmp/line")" && return 75 ;;
  esac
  digest=$(sed -n '1s/^\([0-9a-f]\{64\}\)  .*/\1/p' "$tmp/line")
  if [ -z "$digest" ]; then say "$hub: the answer is not a hub's" && return 75; fi
  if [ -f "$output" ] && [ "$(sha256 "$output")" = "$digest" ]; then
    rm -f "$tmp/btf"
    return 0
  fi

  for attempt in 1 2; do
    download_patiently "$hub/v1/blobs/sha256/$digest" "$tmp/body"
    if [ "$status" != 200 ]; then say "$hub: $(reason "$tmp/body")" && return 75; fi
    if unpack "$tmp/body" "$tmp/btf" && verify "$tmp/btf"; then return 0; fi
    rm -f "$tmp/btf"
  done
  say "$hub: what came is not what has sha256 $digest, in $attempt tries"
  return 5
}

# The hub may have sent gzip, as it was told that it may.
unpack() {
  if [ "$(head -c 2 "$1" | hex | tr -d ' \n')" = 1f8b ]; then
    gzip -dc <"$1" >"$2" 2>"$tmp/err"
  else
    mv "$1" "$2"
  fi
}

verify() {
  got=$(sha256 "$1")
  if [ -n "$got" ]; then
    [ "$got" = "$digest" ]
  else
    say 'no sha256sum here: only the magic number was checked'
    case $(head -c 2 "$1" | hex | tr -d ' \n') in
      9feb | eb9f) ;;
      *) return 1 ;;
    esac
  fi
}

# What is known of this host's kernel, for what was not said.
host_facts() {
  notes=$root/sys/kernel/notes
  if [ -z "$build_id" ] && [ -r "$notes" ]; then
    # shellcheck disable=SC2046 # each byte is a word
    build_id=$(gnu_build_id $(hex <"$notes"))
  fi
  if [ -z "$banner" ] && [ -r "$root/proc/version" ]; then banner=$(cat "$root/proc/version"); fi
  if [ -z "$distro" ]; then
    distro=$(os_release ID)
    if [ -z "$version" ]; then version=$(os_release VERSION_ID); fi
  fi
}

main() {
  release='' tool='' arch='' distro='' version='' build_id='' banner='' like='' predict='' output='' force='' query=''
  timeout=600
  root=${BTFHUB_ROOT:-}
  while [ $# -gt 0 ]; do
    case $1 in
      --like) like=1 ;;
      --predict) predict=1 ;;
      --force) force=1 ;;
      -h | --help) usage && exit 0 ;;
      --tool | --arch | --distro | --version | --build-id | --banner | --hub | --timeout | -o | --output)
        if [ $# -lt 2 ] || [ -z "$2" ]; then die 2 "$1: expected a value"; fi
        case $1 in
          --tool) tool=$2 ;;
          --arch) arch=$2 ;;
          --distro) distro=$2 ;;
          --version) version=$2 ;;
          --build-id) build_id=$2 ;;
          --banner) banner=$2 ;;
          --hub) hubs=$2 ;;
          --timeout) timeout=$2 ;;
          *) output=$2 ;;
        esac
        shift
        ;;
      -*) die 2 "$1: no such option; --help tells what there is" ;;
      *)
        if [ -n "$release" ]; then die 2 "$1: one release is enough"; fi
        release=$1
        ;;
    esac
    shift
  done

  if [ -n "$predict" ] && [ -z "$tool" ]; then die 2 '--predict: only min BTF is predicted, expected --tool'; fi
  case $timeout in
    *[!0-9]* | 0* | ???????*) die 2 "--timeout $timeout: expected seconds" ;;
  esac
  deadline=$(($(date +%s) + timeout))
  for hub in $hubs; do
    case $hub in
      http://* | https://*) ;;
      *) die 2 "hub $hub: expected an http or https URL" ;;
    esac
  done

  host_release=$(uname -r)
  release=${release:-$host_release}
  case $release in
    */* | .*) die 2 "$release: not a release" ;;
  esac
  is_host=
  if [ "$release" = "$host_release" ] && [ "${arch:-$(uname -m)}" = "$(uname -m)" ]; then is_host=1; fi
  arch=${arch:-$(uname -m)}
  own=$root/sys/kernel/btf/vmlinux
  if [ -n "$is_host" ] && [ -z "$force$output" ] && [ -r "$own" ]; then
    printf '%s\n' "$own"
    exit 0
  fi
  if [ -n "$is_host" ]; then host_facts; fi
  output=${output:-$release${tool:+.$tool.min}.btf}
  # A move would go into a folder, or take the place of a device.
  if [ -e "$output" ] && [ ! -f "$output" ]; then die 2 "$output: is there, and is no file"; fi

  if ! have curl && ! have wget; then die 1 'neither curl nor wget is here'; fi
  gzip=''
  if have gzip; then gzip='Accept-Encoding: gzip'; fi
  prefer='Prefer: respond-async'
  # No BTF is larger than 256 MiB, so nothing that is downloaded or unpacked may be (bash: 512 MiB).
  ulimit -f 524288 2>/dev/null || true
  umask 022
  tmp=$(mktemp -d "$(dirname "$output")/.btfhub.XXXXXX") || exit 1
  trap 'rm -rf "$tmp"' EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM

  if [ -n "$is_host" ] && [ -z "$force" ] && [ -r "$own" ]; then
    cp "$own" "$tmp/btf" || exit 1
  else
    get
  fi
  if [ -f "$tmp/btf" ]; then mv -f "$tmp/btf" "$output" || exit 1; fi
  printf '%s\n' "$output"
}

# Gets it from one of the hubs; ends the script where none has it.
get() {
  query="&arch=$(encode "$arch")"
  if [ -n "$distro" ]; then query="$query&distro=$(encode "$distro")"; fi
  if [ -n "$version" ]; then query="$query&version=$(encode "$version")"; fi
  if [ -n "$build_id" ]; then query="$query&build_id=$(encode "$build_id")"; fi
  if [ -n "$banner" ]; then query="$query&banner=$(encode "$banner")"; fi
  if [ -n "$like" ]; then query="$query&like=1"; fi
  ask_all && return
  # A guess is asked for only where every hub has said that it has not the kernel itself.
  if [ "$worst" = 3 ] && [ -n "$predict" ]; then
    query="$query&predict=1"
    if ask_all; then
      say 'predicted, not known: no hub has this kernel; those before and after it agree'
      return
    fi
  fi
  exit "$worst"
}

# Asks the hubs in order until one has it, those that are still fetching it again as long as there is time; else sets
# `worst` to what the script would exit with.
ask_all() {
  worst=3
  asked=$hubs
  while [ -n "$asked" ]; do
    pending='' pause=1
    for hub in $asked; do
      code=0
      ask "$hub" || code=$?
      case $code in
        0) return 0 ;;
        # Another hub would not know better which kernel is meant.
        2 | 4) exit "$code" ;;
        75) if [ "$worst" = 3 ]; then worst=75; fi ;;
        5) worst=5 ;;
        6)
          pending="$pending $hub"
          if [ "$retry" -gt "$pause" ]; then pause=$retry; fi
          ;;
      esac
    done
    asked=$pending
    if [ -n "$asked" ] && [ "$pause" -ge "$(left)" ]; then
      if [ "$worst" = 3 ]; then worst=75; fi
      break
    fi
    if [ -n "$asked" ]; then sleep "$pause"; fi
  done
  return 1
}

main "$@"
