#!/bin/sh
# Makes one executable for each target, with its SHA-256 and an archive of it: ./compile.sh -h tells more.
set -eu

# name       deno compile --target        bun build --compile --target
# The x64 ones of Bun are the "baseline" builds: small servers often have no AVX2.
TARGETS='
linux-x64    x86_64-unknown-linux-gnu     bun-linux-x64-baseline
linux-arm64  aarch64-unknown-linux-gnu    bun-linux-arm64
macos-x64    x86_64-apple-darwin          bun-darwin-x64-baseline
macos-arm64  aarch64-apple-darwin         bun-darwin-arm64
windows-x64  x86_64-pc-windows-msvc       bun-windows-x64-baseline
'

DENO=${DENO:-npx -y deno@2.9.6}
BUN=${BUN:-npx -y bun@1.4.5}
DIST=${DIST:-dist}

usage() {
  cat <<'END'
Usage: ./compile.sh [--bun] [--no-archive] [TARGET...]

Makes dist/walbrook-TARGET (with .exe for Windows), walbrook-TARGET.tar.gz, the SHA-256 of each beside it, and a
copy of install.sh: together the files of a release.

  --bun          with "bun build --compile" instead of "deno compile"
  --no-archive   the executable and its SHA-256 only
  TARGET         linux-x64, linux-arm64, macos-x64, macos-arm64, windows-x64 or all; default: this machine's

Environment: DIST (folder to write to), DENO and BUN (the runtimes' commands; the executable contains that
runtime), COMMIT (stamped in; default: what git says).
END
}

fail() {
  printf 'compile.sh: %s\n' "$*" >&2
  exit 1
}

# The line's word number $2 for target $1; fails for a target that isn't in the table.
column() {
  printf '%s' "$TARGETS" | awk -v name="$1" -v column="$2" '$1 == name { print $column; found = 1 } END { exit !found }'
}

this_machine() {
  case $(uname -s) in
    Linux) system=linux ;;
    Darwin) system=macos ;;
    *) fail "$(uname -s): name a target: $(column_one)" ;;
  esac
  case $(uname -m) in
    x86_64 | amd64) echo "$system-x64" ;;
    aarch64 | arm64) echo "$system-arm64" ;;
    *) fail "$(uname -m): name a target: $(column_one)" ;;
  esac
}

column_one() {
  printf '%s' "$TARGETS" | awk 'NF { printf "%s%s", separator, $1; separator = " " }'
}

sha256() {
  if command -v sha256sum >/dev/null; then sha256sum "$1"; else shasum -a 256 "$1"; fi
}

# Beside the file and by its bare name, so that "sha256sum -c" works in any folder.
write_sum() {
  (cd "$(dirname "$1")" && sha256 "$(basename "$1")" >"$(basename "$1").sha256")
}

commit() {
  if [ -n "${COMMIT:-}" ]; then echo "$COMMIT"; return; fi
  hash=$(git rev-parse --short=12 HEAD 2>/dev/null) || return 0
  if [ -n "$(git status --porcelain 2>/dev/null)" ]; then hash="$hash with changes"; fi
  echo "$hash"
}

# What stands in the way, in one line: a runtime that can't be downloaded above all.
explain() {
  if grep -Eqi 'dns error|error sending request|connect error|failed to download|FailedToDownload|timed out|tunnel|ConnectionRefused|NetworkError|failed to extract' "$work/log"; then
    hint=''
    if [ "$1" = deno ]; then hint=', or use --bun'; fi
    fail "$1 for $2: the runtime for it can't be downloaded: try again with a network that reaches it$hint"
  fi
  fail "$1 for $2: $(grep -v '^ *$' "$work/log" | tail -n 1)"
}

# Nothing in src/ is loaded by its path (a worker is a data: URL, the WASM is text in a module), so nothing else has to
# be brought along for Bun; Deno is told to bring what its module graph may miss. tests/ship/executable_test.ts minds.
build() {
  target=$1
  output=$2
  mkdir -p "$work/$target"
  if [ "$runtime" = bun ]; then
    $BUN tools/write_build.ts "$work/$target" "$target" "$commit" bun >"$work/log" 2>&1 || explain bun "$target"
    # Bytecode and a piece for each lazy import: "version" starts in a third of the time. And neither a .env nor a
    # bunfig.toml of the folder it is started in changes what it does.
    $BUN build --compile --minify --bytecode --format=esm --splitting --target="$(column "$target" 3)" \
      --no-compile-autoload-dotenv --no-compile-autoload-bunfig \
      --outfile="$output" "$work/$target/entry.ts" >"$work/log" 2>&1 || explain bun "$target"
  else
    $DENO run -A tools/write_build.ts "$work/$target" "$target" "$commit" deno >"$work/log" 2>&1 ||
      explain deno "$target"
    # All but FFI: the stores need the network, -exec runs a program.
    $DENO compile --no-prompt --no-check --include src/codec/lz4_wasm.ts --include "$work/$target/notices.ts" \
      --allow-read --allow-write --allow-env --allow-sys --allow-net --allow-run \
      --target "$(column "$target" 2)" --output "$output" "$work/$target/entry.ts" >"$work/log" 2>&1 ||
      explain deno "$target"
  fi
  [ -f "$output" ] || explain "$runtime" "$target"
}

archive() {
  name=walbrook-$1
  folder=$work/archive/$name
  mkdir -p "$folder/packaging"
  cp "$2" "$folder/$3"
  cp LICENSE "$work/$1/THIRD_PARTY_NOTICES.txt" "$folder/"
  cp packaging/walbrook.service packaging/environment packaging/Dockerfile packaging/compose.yaml \
    "$folder/packaging/"
  tar -C "$work/archive" -cf - "$name" | gzip -c >"$DIST/$name.tar.gz.part"
  mv "$DIST/$name.tar.gz.part" "$DIST/$name.tar.gz"
  write_sum "$DIST/$name.tar.gz"
}

runtime=deno
with_archive=yes
targets=''
for word in "$@"; do
  case $word in
    --bun) runtime=bun ;;
    --no-archive) with_archive=no ;;
    -h | --help) usage; exit 0 ;;
    -*) fail "$word: unknown option" ;;
    all) targets=$(column_one) ;;
    *)
      column "$word" 1 >/dev/null || fail "$word: unknown target; there are: $(column_one)"
      targets="$targets $word"
      ;;
  esac
done

mkdir -p "$DIST"
DIST=$(cd "$DIST" && pwd)
cd "$(dirname "$0")"
if [ -z "$targets" ]; then targets=$(this_machine); fi
[ -d node_modules ] || $DENO install >/dev/null 2>&1 || fail "the packages of package.json can't be downloaded"
commit=$(commit)

# Below the repository's folder, where both tools find package.json.
mkdir -p .cache
work=$(mktemp -d "$PWD/.cache/compile.XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 130' HUP INT TERM

for target in $targets; do
  case $target in windows-*) suffix=.exe ;; *) suffix='' ;; esac
  file=$DIST/walbrook-$target$suffix
  # Under a name of its own until it is whole.
  build "$target" "$work/walbrook-$target$suffix"
  chmod 755 "$work/walbrook-$target$suffix"
  mv "$work/walbrook-$target$suffix" "$file"
  write_sum "$file"
  if [ "$with_archive" = yes ]; then archive "$target" "$file" "walbrook$suffix"; fi
  printf '%s\n' "$file"
done
cp install.sh "$DIST/"
