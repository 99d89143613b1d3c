# bed logs [PROGRAM]                     what containers said, of pods that are gone already too; or what a program of the cluster said
#
# Nothing on a cluster that isn't ours.
[ -z "${KEYHOLE_KUBECONFIG:-}" ] || exit 0
if [ $# = 1 ]; then exec cat "$CLUSTER_DIR/log/$1.log"; fi
inside find "$CLUSTER_DIR/podlogs" -type f -exec cat {} +
