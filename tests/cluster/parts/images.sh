# The images of the test bed, each a docker-archive file in the cache. Sourced by bed build; needs no registry.

# make_image OUT.tar NAME:TAG ROOTFS_FOLDER ENTRYPOINT_JSON USER:GROUP: a folder into an image of one layer, a docker-archive file
# as containerd imports it. The same folder gives the same bytes.
make_image() (
  local out=$1 name=$2 root=$3 entrypoint=$4 user=$5 work digest
  work=$(mktemp -d "$out.XXXXXX"); trap 'rm -rf "$work"' EXIT
  tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer.tar" .
  digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
  cat >"$work/config.json" <<J
{"architecture":"amd64","os":"linux","config":{"User":"$user","Entrypoint":$entrypoint,"Env":["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]},"rootfs":{"type":"layers","diff_ids":["sha256:$digest"]},"history":[{"created":"1970-01-01T00:00:00Z"}]}
J
  printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
  tar -C "$work" --owner=0 --group=0 --mtime=@0 -cf "$work/image.tar" manifest.json config.json layer.tar
  mv "$work/image.tar" "$out"
)

# scratch_image NAME BINARY: an image that holds one static binary and nothing else. User 65532, as Keyhole's own images.
scratch_image() {
  local root=$SOURCE_DIR/image-$1
  rm -rf "$root"; mkdir -p "$root/bin" "$root/tmp"; chmod 1777 "$root/tmp"
  cp "$BIN_DIR/$2" "$root/bin/$2"
  make_image "$IMAGE_DIR/$1.tar" "keyhole.test/$1:1" "$root" "[\"/bin/$2\"]" 65532:65532
  rm -rf "$root"
}

build_image_pause() { scratch_image pause pause; }
build_image_ktool() { scratch_image ktool ktool; }
build_image_openbao() { scratch_image openbao bao; }
build_image_versitygw() { scratch_image versitygw versitygw; }

# CoreDNS listens on port 53.
build_image_coredns() {
  local root=$SOURCE_DIR/image-coredns
  rm -rf "$root"; mkdir -p "$root/bin"; cp "$BIN_DIR/coredns" "$root/bin/coredns"
  make_image "$IMAGE_DIR/coredns.tar" keyhole.test/coredns:1 "$root" '["/bin/coredns"]' 0:0
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
  make_image "$IMAGE_DIR/mariadb.tar" keyhole.test/mariadb:1 "$root" '["/entrypoint.sh"]' 999:999
  rm -rf "$root"
}
