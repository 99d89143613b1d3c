# bed vault up                           OpenBao in namespace vault: initialised, unsealed, with Kubernetes auth and the database engine on
# bed vault seal | unseal                a Vault that answers, but opens nothing
# bed vault stop | start                 no pod and a closed port, the data stays; start unseals, too
# bed vault client ARGS                  its client, with the root token (or VAULT_TOKEN's) and over verified TLS
# bed vault run [NAMESPACE NAME]         runs as Vault's administrator what `kubectl keyhole vault-setup` printed, from standard input
#
# Left behind in the cluster's folder: vault/init.json (unseal keys) and vault/root-token, both 0600; pki/vault-ca.crt.
# run: with NAMESPACE and NAME the password of that test database's user for Vault is in the file admin-password, which is what
# the commands read by default.
source "$HERE/parts/pki.sh"
source "$HERE/parts/bao.sh"
KEYS=$CLUSTER_DIR/vault/init.json TOKEN=$CLUSTER_DIR/vault/root-token

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
  mkdir -p "$CLUSTER_DIR/vault" "$PKI"
  chmod 700 "$CLUSTER_DIR" "$CLUSTER_DIR/vault" "$PKI"
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

# As printed: for /bin/sh, without pipefail, under which `bao list | grep -q` would fail on a match. The commands call `bao`; here
# that is the client with the test bed's address and root token.
run_printed() (
  folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
  printf '#!/bin/bash\nexec %q vault client "$@"\n' "$HERE/bed" >"$folder/bao"
  chmod +x "$folder/bao"
  if [ $# = 2 ]; then
    kc get secret -n "$1" "$2-admin" -o 'jsonpath={.data.vault-password}' | base64 -d >"$folder/admin-password"
  fi
  cd "$folder"
  PATH="$folder:$PATH" sh -s
)

case ${1:-} in
  up) deploy; initialise; unseal; configure ;;
  seal) bao operator seal >/dev/null ;;
  unseal) unseal ;;
  stop) scale 0; kc -n vault wait --for=delete pod/vault-0 --timeout=30s >/dev/null ;;
  start) scale 1; wait_for 60 "Vault answers" answers; unseal ;;
  client) bao "${@:2}" ;;
  run) run_printed "${@:2}" ;;
  *) misused ;;
esac
