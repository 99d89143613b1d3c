#!/bin/bash
# image.sh remove|restore IMAGE: takes an image out of the node's store, or puts it back. Only on the test bed's own cluster.
source "$(dirname "$0")/../parts/lib.sh"
source "$HERE/parts/containerd.sh"
image=$2 kept=$CLUSTER_DIR/kept-image.tar
case $1 in
  remove) ctr -n k8s.io images export "$kept" "$image"; ctr -n k8s.io images rm "$image" >/dev/null ;;
  restore) ctr -n k8s.io images import "$kept" >/dev/null; rm -f "$kept" ;;
  *) echo "unknown: $1" >&2; exit 2 ;;
esac
