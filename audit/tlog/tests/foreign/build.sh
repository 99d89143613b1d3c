#!/bin/bash
# build.sh [writer]: builds the foreign reader of logs (main.go says what it does) into the cache, or the foreign writer that is measured
# beside ours (writer/main.go), and prints its path on standard output.
#
# Does nothing, and needs no network, when it is there: its name has the checksum of its sources, pins and compiler, so that checkouts
# with different ones keep theirs side by side. Needs Go; needs no root.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
CACHE=${KEYHOLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keyhole}/tlog
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false"

case ${1:-reader} in
  reader) name=reader package=. ;;
  writer) name=writer package=./writer ;;
  *) echo "usage: build.sh [writer]" >&2; exit 2 ;;
esac

say() { printf 'foreign %s of logs: %s\n' "$name" "$*" >&2; }

command -v go >/dev/null || { say "go is missing: install Go (1.26 or newer) first"; exit 1; }
key=$({ go version; cd "$HERE" && sha256sum -- "$package"/*.go go.mod go.sum build.sh; } | sha256sum | cut -c1-16)
program=$CACHE/$name-$key
if [ ! -x "$program" ]; then
  mkdir -p "$CACHE"
  exec 9>"$CACHE/lock"
  flock 9
fi
if [ ! -x "$program" ]; then   # else another one made it meanwhile
  say "building"
  (cd "$HERE" && go build -ldflags "-s -w" -o "$program.part" "$package")
  mv "$program.part" "$program"
  # Not sooner: tests may be running them.
  find "$CACHE" -name "$name-*" -mtime +7 ! -path "$program" -delete
  say "built"
fi
echo "$program"
