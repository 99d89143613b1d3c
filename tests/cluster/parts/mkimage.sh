#!/bin/bash
# mkimage.sh OUT.tar NAME:TAG ROOTFS_FOLDER ENTRYPOINT_JSON USER:GROUP
# Makes a folder into an image of one layer, a docker-archive file as containerd imports it. The same folder gives the same bytes.
set -euo pipefail
out=$1 name=$2 root=$3 entrypoint=$4 user=$5
work=$(mktemp -d "$out.XXXXXX"); trap 'rm -rf "$work"' EXIT
tar -C "$root" --sort=name --owner=0 --group=0 --numeric-owner --mtime=@0 -cf "$work/layer.tar" .
digest=$(sha256sum "$work/layer.tar" | cut -d' ' -f1)
cat >"$work/config.json" <<J
{"architecture":"amd64","os":"linux","config":{"User":"$user","Entrypoint":$entrypoint,"Env":["PATH=/bin:/usr/bin:/sbin:/usr/sbin"]},"rootfs":{"type":"layers","diff_ids":["sha256:$digest"]},"history":[{"created":"1970-01-01T00:00:00Z"}]}
J
printf '[{"Config":"config.json","RepoTags":["%s"],"Layers":["layer.tar"]}]' "$name" >"$work/manifest.json"
tar -C "$work" --owner=0 --group=0 --mtime=@0 -cf "$work/image.tar" manifest.json config.json layer.tar
mv "$work/image.tar" "$out"
