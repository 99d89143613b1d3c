#!/bin/bash
# build.sh: the release's binaries, static, and the images made of them. Everything goes to $KEYHOLE_CACHE/images:
# keyhole-proxy.tar, keyhole-operator.tar and keyhole-log.tar (docker-archive files), kubectl-keyhole. Quick when no source has changed.
# build.sh --key: only says what they would be keyed by.
# IMAGE_PREFIX, IMAGE_TAG: names of the images, keyhole.test/keyhole-proxy:dev and so on by default.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
CACHE=${KEYHOLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keyhole}
OUT=$CACHE/images
PREFIX=${IMAGE_PREFIX:-keyhole.test} TAG=${IMAGE_TAG:-dev}
TARGET=x86_64-unknown-linux-gnu
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$CACHE/target}
cd "$ROOT"

# Every file that git lists, committed or not, but documents and tests. What it is for need not be known here: a file that
# does not matter costs a minute, one that was forgotten would leave an old binary in a new image.
sources() {
  git ls-files -z --cached --others --exclude-standard -- . \
    ':!*.md' ':!docs' ':!charts' ':!tests' ':!*/tests/*' ':!*/golden/*' ':!*/snapshots/*' |
    sort -zu |
    while IFS= read -rd '' file; do [ ! -e "$file" ] || printf '%s\0' "$file"; done   # git still lists what was deleted
}

# By content: a fresh clone of the same sources builds nothing. Fails where git lists nothing.
key() {
  local sums
  sums=$(sources | xargs -0r sha256sum) || return
  [ -n "$sums" ] || return
  printf '%s\n' "$sums" "$PREFIX $TAG" | sha256sum | cut -d' ' -f1
}

static_binaries() {
  # With --target, the flag reaches the binaries only and not build scripts and macros.
  RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$TARGET" \
    -p keyhole-proxy -p keyhole-operator -p keyhole-log -p kubectl-keyhole
}

# image NAME: from images/NAME/Containerfile and the binary keyhole-NAME; the same binary gives the same bytes.
image() {
  local name=keyhole-$1 store=(--storage-driver vfs --root "$work/store" --runroot "$work/run")
  cp "$CARGO_TARGET_DIR/$TARGET/release/$name" "$work/"
  buildah "${store[@]}" build --quiet --layers=false --timestamp 0 --tag "$PREFIX/$name:$TAG" \
    --file "images/$1/Containerfile" "$work" >/dev/null
  rm -f "$OUT/$name.tar"
  buildah "${store[@]}" push --quiet "$PREFIX/$name:$TAG" "docker-archive:$OUT/$name.tar:$PREFIX/$name:$TAG"
}

sizes() { (cd "$OUT" && du -h --apparent-size keyhole-proxy.tar keyhole-operator.tar keyhole-log.tar kubectl-keyhole); }

if [ "${1:-}" = --key ]; then key; exit; fi
mkdir -p "$OUT"
# One build at a time: two would write the same files.
exec 9>"$OUT/lock"
flock 9
wanted=$(key) || echo "images: built anew, for git does not say what they are made of"
if [ -n "$wanted" ] && [ "$wanted" = "$(cat "$OUT/key" 2>/dev/null)" ]; then
  echo "images: nothing has changed"; sizes
  exit
fi
rm -f "$OUT/key"
work=$(mktemp -d "$OUT/work.XXXXXX"); trap 'rm -rf "$work"' EXIT
static_binaries
image proxy
image operator
image log
install -m 755 "$CARGO_TARGET_DIR/$TARGET/release/kubectl-keyhole" "$OUT/kubectl-keyhole"
[ -z "$wanted" ] || echo "$wanted" >"$OUT/key"
echo "images: $SECONDS s"; sizes
