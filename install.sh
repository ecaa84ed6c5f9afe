#!/bin/sh
# Installs walbrook, or upgrades it: sh install.sh -h tells more.
set -eu

# Where the files of a release lie; WALBROOK_BASE_URL in the environment goes before it.
BASE_URL=
BASE_URL=${WALBROOK_BASE_URL:-$BASE_URL}

usage() {
  cat <<'END'
Usage: sh install.sh [--prefix DIR] [--alias-litestream] [--service --user NAME]

Downloads walbrook for this machine from $WALBROOK_BASE_URL, checks its SHA-256, and installs it into
/usr/local/bin as root, else into ~/.local/bin. An older one is replaced once the new one has run.

  --prefix DIR         install into DIR/bin and DIR/share/walbrook instead
  --alias-litestream   also under the name "litestream"
  --service            also as a systemd service (as root), not started yet
  --user NAME          the user that the service runs as: the one that your application runs as

Environment: WALBROOK_BASE_URL; DESTDIR (put everything below that folder).
END
}

say() {
  printf '%s\n' "$*"
}

fail() {
  printf 'walbrook install: %s\n' "$*" >&2
  exit 1
}

has() {
  command -v "$1" >/dev/null 2>&1
}

# Sets target: what the release calls this machine.
find_target() {
  case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=macos ;;
    *) fail "$(uname -s): there is no walbrook for this system: Linux and macOS are served" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) cpu=x64 ;;
    aarch64 | arm64) cpu=arm64 ;;
    *) fail "$(uname -m): there is no walbrook for this CPU: x86_64 and arm64 are served" ;;
  esac
  # ldd of musl prints its name and fails.
  if [ "$system" = linux ] && (ldd --version 2>&1 || true) | grep -qi musl; then
    fail "musl: there is no walbrook for this C library (Alpine): use a system with glibc, such as Debian"
  fi
  target=$system-$cpu
}

# Kibibytes that are free where $1 lies.
free_kib() {
  df -Pk "$1" | awk 'NR == 2 { print $4 }'
}

# After something that wrote below $work failed: says so when the disk is why.
fail_if_full() {
  free=$(free_kib "$work")
  if [ "${free:-1024}" -lt 1024 ]; then
    fail "the disk of $bin_dir is full ($free KiB free): make room for 200 MiB, nothing was changed"
  fi
}

# Download $1 to the file $2.
fetch() {
  status=0
  if has curl; then
    curl -fsSL --connect-timeout 20 --retry 2 -o "$2" "$1" 2>"$work/log" || status=$?
    case $status in
      0) return ;;
      22) fail "$1: $(sed -n 's/.*error: *//p' "$work/log" | tail -n 1): is WALBROOK_BASE_URL right?" ;;
      23) problem='cannot be written' ;;
      18 | 56) problem='the download broke off, try again' ;;
      *) problem="cannot be downloaded: $(sed 's/^curl: ([0-9]*) *//' "$work/log" | tail -n 1)" ;;
    esac
  elif has wget; then
    # GNU's would try for minutes; others don't know these options.
    bounds=''
    if wget --version 2>/dev/null | grep -q 'GNU Wget'; then bounds='--tries=2 --timeout=30'; fi
    # shellcheck disable=SC2086 # words
    wget -q $bounds -O "$2" "$1" 2>"$work/log" || status=$?
    case $status in
      0) return ;;
      3) problem='cannot be written' ;;
      4) problem='the download broke off or the server cannot be reached, try again' ;;
      8) problem='the server does not have it: is WALBROOK_BASE_URL right?' ;;
      *) problem='cannot be downloaded with wget' ;;
    esac
  else
    fail 'curl or wget is needed: install one of them'
  fi
  fail_if_full
  fail "$1: $problem"
}

sum_of() {
  if has sha256sum; then sha256sum "$1"
  elif has shasum; then shasum -a 256 "$1"
  else openssl dgst -sha256 -r "$1"
  fi | awk '{ print $1 }'
}

# The sum that the file $1 of the release should have.
fetch_sum() {
  fetch "$BASE_URL/$1.sha256" "$work/sum"
  sum=$(awk 'NR == 1 { print $1 }' "$work/sum")
  case $sum in
    *[!0-9a-f]* | '') fail "$BASE_URL/$1.sha256: no SHA-256: is WALBROOK_BASE_URL right?" ;;
  esac
  [ ${#sum} -eq 64 ] || fail "$BASE_URL/$1.sha256: no SHA-256: is WALBROOK_BASE_URL right?"
}

# Download, check, unpack, try, and only then put in place.
install_release() {
  archive=walbrook-$target.tar.gz
  fetch_sum "$archive"
  say "downloading $BASE_URL/$archive"
  fetch "$BASE_URL/$archive" "$work/$archive"
  found=$(sum_of "$work/$archive")
  [ "$found" = "$sum" ] ||
    fail "$archive: wrong SHA-256, nothing was changed: $found where $sum was expected; try again"
  if ! tar -C "$work" -xzof "$work/$archive" 2>"$work/log"; then
    fail_if_full
    fail "$archive: cannot be unpacked: $(tail -n 1 "$work/log")"
  fi
  release=$work/walbrook-$target
  "$release/walbrook" version >"$work/version" 2>"$work/log" ||
    fail "the new walbrook does not run here, nothing was changed: $(tail -n 1 "$work/log")"
  if ! { mkdir -p "$share_dir" && cp "$release/LICENSE" "$release/THIRD_PARTY_NOTICES.txt" \
    "$release/packaging/walbrook.service" "$release/packaging/environment" "$share_dir/"; } 2>"$work/log"; then
    fail_if_full
    fail "$share_dir: cannot be written: $(tail -n 1 "$work/log")"
  fi
  # On the same file system, so it is the old one or the new one at every moment.
  chmod 755 "$release/walbrook"
  mv -f "$release/walbrook" "$bin_dir/walbrook" || fail "$bin_dir/walbrook: cannot be replaced"
  say "installed walbrook $(head -n 1 "$work/version") as $bin_dir/walbrook"
}

# Whether the executable of the release is in place already.
is_current() {
  [ -x "$bin_dir/walbrook" ] && [ -f "$share_dir/walbrook.service" ] || return 1
  fetch_sum "walbrook-$target"
  [ "$(sum_of "$bin_dir/walbrook")" = "$sum" ]
}

alias_litestream() {
  link=$bin_dir/litestream
  if [ -h "$link" ] && [ "$(readlink "$link")" = walbrook ]; then return; fi
  ln -s walbrook "$link" || fail "$link: cannot be made"
  say "litestream is walbrook now: $link"
}

# Refused before anything is downloaded.
check_requests() {
  # "mv" would put the new one into it.
  if [ -d "$bin_dir/walbrook" ]; then fail "$bin_dir/walbrook: a folder is in the way: move it away first"; fi
  link=$bin_dir/litestream
  if [ "$with_alias" = yes ] && { [ -e "$link" ] || [ -h "$link" ]; } &&
    [ "$(readlink "$link" || true)" != walbrook ]; then
    fail "--alias-litestream: $link is there already: move it away first"
  fi
  if [ "$with_service" = no ]; then return; fi
  if [ -z "$user" ]; then fail '--service: --user NAME is needed: the user that your application runs as'; fi
  if [ -z "${DESTDIR:-}" ]; then
    [ "$(id -u)" = 0 ] || fail '--service: run it as root'
    has systemctl || fail '--service: there is no systemd here: see docs/DEPLOY.md for other ways'
    id "$user" >/dev/null 2>&1 || fail "--user: there is no user $user"
  fi
  case $user in *[!A-Za-z0-9_.-]*) fail "--user: $user: not a user's name" ;; esac
}

install_service() {
  unit_dir=${DESTDIR:-}/usr/local/lib/systemd/system
  settings_dir=${DESTDIR:-}/etc/walbrook
  mkdir -p "$unit_dir" "$settings_dir" || fail "$unit_dir: cannot be made"
  sed -e "s|^User=.*|User=$user|" -e "s|^ExecStart=[^ ]*|ExecStart=${bin_dir#"${DESTDIR:-}"}/walbrook|" \
    "$share_dir/walbrook.service" >"$work/unit"
  chmod 644 "$work/unit"
  mv -f "$work/unit" "$unit_dir/walbrook.service" || fail "$unit_dir/walbrook.service: cannot be written"
  # Yours from then on: it is never written again.
  if [ ! -e "$settings_dir/environment" ]; then
    (umask 077 && cp "$share_dir/environment" "$settings_dir/environment") ||
      fail "$settings_dir/environment: cannot be written"
  fi
  if [ -z "${DESTDIR:-}" ] && [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
  say "installed the service $unit_dir/walbrook.service"
}

next_step() {
  if [ "$with_service" = yes ]; then
    say "next: write what to replicate into $settings_dir/environment, then: systemctl enable walbrook &&" \
      'systemctl restart walbrook'
    return
  fi
  case :$PATH: in
    *":$bin_dir:"*) command=walbrook ;;
    *) command=$bin_dir/walbrook ;;
  esac
  say "next: $command replicate /path/to/app.db /path/to/backup"
}

main() {
  prefix=''
  with_alias=no
  with_service=no
  user=''
  while [ $# -gt 0 ]; do
    case $1 in
      --prefix | --user)
        [ $# -gt 1 ] || fail "$1: a value is needed"
        if [ "$1" = --prefix ]; then prefix=$2; else user=$2; fi
        shift
        ;;
      --alias-litestream) with_alias=yes ;;
      --service) with_service=yes ;;
      -h | --help) usage; exit 0 ;;
      *) fail "$1: unknown option: -h tells which there are" ;;
    esac
    shift
  done
  [ -n "$BASE_URL" ] || fail 'set WALBROOK_BASE_URL to where the files of the release lie: export WALBROOK_BASE_URL=https://example.org/walbrook'
  BASE_URL=${BASE_URL%/}
  has sha256sum || has shasum || has openssl ||
    fail 'sha256sum, shasum or openssl is needed to check the download: install one of them'
  find_target
  if [ -z "$prefix" ]; then
    if [ "$(id -u)" = 0 ]; then prefix=/usr/local; else prefix=${HOME:?}/.local; fi
  fi
  case $prefix in /*) ;; *) prefix=$PWD/$prefix ;; esac
  bin_dir=${DESTDIR:-}$prefix/bin
  share_dir=${DESTDIR:-}$prefix/share/walbrook
  check_requests
  work=''
  trap 'if [ -n "$work" ]; then rm -rf "$work"; fi' EXIT
  trap 'exit 130' HUP INT TERM
  mkdir -p "$bin_dir" 2>/dev/null || fail "$bin_dir: cannot be made: choose another place with --prefix DIR"
  work=$(mktemp -d "$bin_dir/.walbrook-install.XXXXXX" 2>/dev/null) ||
    fail "$bin_dir: cannot be written to: choose another place with --prefix DIR"
  if is_current; then
    say "$bin_dir/walbrook is $("$bin_dir/walbrook" version | head -n 1) already"
  else
    install_release
  fi
  if [ "$with_alias" = yes ]; then alias_litestream; fi
  if [ "$with_service" = yes ]; then install_service; fi
  next_step
}

# At the very end: a script that was cut off on its way here does nothing.
main "$@"
