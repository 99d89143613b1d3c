# bed image import FILE.tar...           brings images (docker-archive or OCI archive files) into the node's store
# bed image remove IMAGE                 takes one out of it
# bed image restore                      puts that one back
#
# Only on the test bed's own cluster.
source "$HERE/parts/containerd.sh"
kept=$CLUSTER_DIR/kept-image.tar
case ${1:-} in
  import) [ $# -ge 2 ] || misused; shift; import_images "$@" ;;
  remove) [ $# = 2 ] || misused; ctr -n k8s.io images export "$kept" "$2"; ctr -n k8s.io images rm "$2" >/dev/null ;;
  restore) ctr -n k8s.io images import "$kept" >/dev/null; rm -f "$kept" ;;
  *) misused ;;
esac
