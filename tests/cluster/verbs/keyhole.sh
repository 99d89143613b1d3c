# bed keyhole install [ARGS]             the chart of this checkout, installed as a platform team would, or upgraded; ARGS are for helm
# bed keyhole uninstall                  takes it away; its namespace stays, for the chart did not make it
# bed keyhole test                       `helm test`, and what its pod said when it fails
# bed keyhole volume keep|put NAME       copies the audit log's volume under a name, or has that copy in its place; while the log is gone
# bed keyhole record                     whatever can be read of the audit log's volume; only on the test bed's own node
#
# Needs Vault (bed vault up) and, in the cluster's image store (bed image import), the images that images/build.sh made.
# KEYHOLE_CLI: the built kubectl-keyhole.
helm() {
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then "$BIN_DIR/helm" --kubeconfig "$KEYHOLE_KUBECONFIG" "$@"
  else inside "$BIN_DIR/helm" --kubeconfig "$PKI/admin.kubeconfig" "$@"; fi
}

# On the test bed's own node the audit log's folder is a volume made here; elsewhere the cluster's default storage class makes it.
apply_volume() {
  local folder=$CLUSTER_DIR/audit
  mkdir -p "$folder"; chown 65532:65532 "$folder"; chmod 700 "$folder"
  kc apply -f - >/dev/null <<J
apiVersion: v1
kind: PersistentVolume
metadata: {name: keyhole-testbed-audit}
spec:
  capacity: {storage: 1Gi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: $KEYHOLE_SYSTEM, name: data-keyhole-log-0}
  hostPath: {path: $folder, type: Directory}
J
}

install() {
  local volume=(--set log.volume.size=1Gi)
  # The operator's own policy and auth role, exactly as the plug-in prints them.
  "${KEYHOLE_CLI:-$KEYHOLE_CACHE/images/kubectl-keyhole}" vault-setup --operator | bed vault run
  announce "Vault knows the operator"

  kc create namespace "$KEYHOLE_SYSTEM" --dry-run=client -o yaml | kc apply -f - >/dev/null
  if [ -z "${KEYHOLE_KUBECONFIG:-}" ]; then apply_volume; volume+=(--set log.volume.storageClassName=-); fi
  helm upgrade --install keyhole "$HERE/../../charts/keyhole" --namespace "$KEYHOLE_SYSTEM" \
    --set-file vault.ca="$PKI/vault-ca.crt" --set vault.address=https://vault.vault.svc:8200 \
    --set image.allowTags=true \
    --set image.operator="${KEYHOLE_OPERATOR_IMAGE:-keyhole.test/keyhole-operator:dev}" \
    --set image.proxy="${KEYHOLE_PROXY_IMAGE:-keyhole.test/keyhole-proxy:dev}" \
    --set image.log="${KEYHOLE_LOG_IMAGE:-keyhole.test/keyhole-log:dev}" "${volume[@]}" \
    --set databases.probeEvery=10m --set 'connect.groups={people,developers,approvers,readers}' --set 'auditors.groups={auditors}' --set proxies.namespace="$KEYHOLE_PROXIES" --wait --timeout 120s "$@" >/dev/null
  announce "Keyhole is installed in $KEYHOLE_SYSTEM"
}

uninstall() {
  helm uninstall keyhole --namespace "$KEYHOLE_SYSTEM" --wait --timeout 300s >/dev/null
  announce "Keyhole is gone"
}

check() {
  helm test keyhole --namespace "$KEYHOLE_SYSTEM" --timeout 60s && return
  kc -n "$KEYHOLE_SYSTEM" logs keyhole-check
  return 1
}

# The folder itself stays: the node has it as a volume.
volume() {
  local what=$1 folder=$CLUSTER_DIR/audit kept=$CLUSTER_DIR/audit-$2
  case $what in
    keep) rm -rf "$kept"; cp -a "$folder" "$kept" ;;
    put) find "$folder" -mindepth 1 -delete; cp -a "$kept/." "$folder/" ;;
    *) misused ;;
  esac
}

case ${1:-} in
  install) shift; install "$@" ;;
  uninstall) uninstall ;;
  test) check ;;
  volume) volume "${2:-}" "${3:-}" ;;
  record) find "$CLUSTER_DIR/audit" -type f -exec cat {} + | LC_ALL=C tr -cd '[:print:]\n' ;;
  *) misused ;;
esac
