# The images of the test bed, each a docker-archive file in the cache. Sourced by build.sh; needs no registry.

# scratch_image NAME BINARY: an image that holds one static binary and nothing else. User 65532, as Keyhole's own images.
scratch_image() {
  local root=$SOURCE_DIR/image-$1
  rm -rf "$root"; mkdir -p "$root/bin" "$root/tmp"; chmod 1777 "$root/tmp"
  cp "$BIN_DIR/$2" "$root/bin/$2"
  "$HERE/parts/mkimage.sh" "$IMAGE_DIR/$1.tar" "keyhole.test/$1:1" "$root" "[\"/bin/$2\"]" 65532:65532
  rm -rf "$root"
}

build_image_pause() { scratch_image pause pause; }
build_image_ktool() { scratch_image ktool ktool; }
build_image_openbao() { scratch_image openbao bao; }

# CoreDNS listens on port 53.
build_image_coredns() {
  local root=$SOURCE_DIR/image-coredns
  rm -rf "$root"; mkdir -p "$root/bin"; cp "$BIN_DIR/coredns" "$root/bin/coredns"
  "$HERE/parts/mkimage.sh" "$IMAGE_DIR/coredns.tar" keyhole.test/coredns:1 "$root" '["/bin/coredns"]' 0:0
  rm -rf "$root"
}

# MariaDB 10.11 as Debian bookworm has it today: a small Debian file system with an empty data folder made beforehand, so that a
# pod starts by copying instead of by mariadb-install-db.
build_image_mariadb() {
  local root=$SOURCE_DIR/image-mariadb made="$HERE/images/mariadb"
  rm -rf "$root"
  mmdebstrap --quiet --variant=essential --include=mariadb-server-core,mariadb-client-core \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    --customize-hook="\"$made/fill.sh\" \"\$1\"" bookworm "$root"
  rm -rf --one-file-system "${root:?}"/dev/*
  "$HERE/parts/mkimage.sh" "$IMAGE_DIR/mariadb.tar" keyhole.test/mariadb:1 "$root" '["/entrypoint.sh"]' 999:999
  rm -rf "$root"
}
