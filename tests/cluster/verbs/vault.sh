#!/bin/bash
# vault.sh [up]     deploys OpenBao in namespace vault, initialises and unseals it, and turns on what Keyhole uses. Runs again at will.
# vault.sh seal | unseal
# vault.sh stop | start     stop: no pod, the port is closed, the data stays; start: the pod is back and unsealed
# Left behind: $CLUSTER_DIR/vault/init.json (unseal keys) and root-token, both 0600; $CLUSTER_DIR/pki/vault-ca.crt.
source "$(dirname "$0")/../parts/lib.sh"
source "$HERE/parts/pki.sh"
KEYS=$CLUSTER_DIR/vault/init.json TOKEN=$CLUSTER_DIR/vault/root-token

bao() { "$HERE/verbs/bao.sh" "$@"; }
# bao status exits 0 unsealed, 2 sealed, 1 out of reach.
answers() { local code=0; bao status >/dev/null 2>&1 || code=$?; [ $code != 1 ]; }
is_active() { bao read sys/storage/raft/configuration >/dev/null 2>&1 && bao secrets list >/dev/null 2>&1; }

# On the test bed's own node the data folder is a volume made here; elsewhere the cluster's default storage class makes it.
apply_volume() {
  local folder=$CLUSTER_DIR/vault/data
  mkdir -p "$folder"; chown 65532:65532 "$folder"; chmod 700 "$folder"
  kc apply -f - >/dev/null <<J
apiVersion: v1
kind: PersistentVolume
metadata: {name: keyhole-testbed-vault}
spec:
  capacity: {storage: 256Mi}
  accessModes: [ReadWriteOnce]
  persistentVolumeReclaimPolicy: Retain
  storageClassName: ""
  claimRef: {namespace: vault, name: data-vault-0}
  hostPath: {path: $folder, type: Directory}
J
}

deploy() {
  local storage='storageClassName: ""'
  kc create namespace vault --dry-run=client -o yaml | kc apply -f - >/dev/null
  server_secret vault vault-tls vault-ca vault.vault.svc
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then storage=""; else apply_volume; fi
  kc apply -f - >/dev/null < <(sed "s|@STORAGE@|$storage|" "$HERE/objects/vault.yaml")
  wait_for 60 "Vault answers" answers || { kc -n vault get pods,pvc,events >&2; return 1; }
}

initialise() {
  [ -s "$KEYS" ] && return
  (umask 077; bao operator init -key-shares=5 -key-threshold=3 -format=json >"$KEYS.part" && jq -j .root_token "$KEYS.part" >"$TOKEN")
  mv "$KEYS.part" "$KEYS"
  announce "Vault initialised"
}

unseal() {
  local key
  if ! bao status >/dev/null 2>&1; then
    for key in $(jq -r '.unseal_keys_b64[0:3][]' "$KEYS"); do bao write sys/unseal - >/dev/null <<<"{\"key\": \"$key\"}"; done
  fi
  wait_for 30 "Vault unsealed and active" is_active
}

configure() {
  bao auth list -format=json | jq -e '."kubernetes/"' >/dev/null || bao auth enable kubernetes >/dev/null
  bao secrets list -format=json | jq -e '."database/"' >/dev/null || bao secrets enable database >/dev/null
  bao write auth/kubernetes/config kubernetes_host=https://kubernetes.default.svc >/dev/null
  announce "Vault has Kubernetes auth and the database engine"
}

scale() { kc -n vault scale statefulset/vault --replicas="$1" >/dev/null; }

mkdir -p "$CLUSTER_DIR/vault" "$PKI"
chmod 700 "$CLUSTER_DIR" "$CLUSTER_DIR/vault" "$PKI"
case ${1:-up} in
  up) deploy; initialise; unseal; configure ;;
  seal) bao operator seal >/dev/null ;;
  unseal) unseal ;;
  stop) scale 0; kc -n vault wait --for=delete pod/vault-0 --timeout=30s >/dev/null ;;
  start) scale 1; wait_for 60 "Vault answers" answers; unseal ;;
  *) echo "unknown: $1" >&2; exit 2 ;;
esac
