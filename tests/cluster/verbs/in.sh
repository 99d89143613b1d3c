# bed in CMD                             a command where the cluster's addresses and names work, as the administrator
#
# Traffic of the node's own namespace passes every NetworkPolicy: prove denials from a pod. With KEYHOLE_KUBECONFIG the command
# runs here.
[ $# -gt 0 ] || misused
if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then exec env KUBECONFIG="$KEYHOLE_KUBECONFIG" PATH="$BIN_DIR:$PATH" "$@"; fi
inside env KUBECONFIG="$PKI/admin.kubeconfig" "$@"
