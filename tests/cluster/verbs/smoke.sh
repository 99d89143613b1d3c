# bed smoke                              proves that the cluster is what the tests take it for: addresses, policies, Vault, leases, 15 to 30 s
#
# Brings Vault up. Exits with an error at the first thing that is not so, and leaves nothing behind.
source "$HERE/parts/bao.sh"
PASSED=0
passed() { PASSED=$((PASSED + 1)); announce "ok: $*"; }
failed() { announce "FAILED: $*"; exit 1; }

# holds WHAT CMD...: the command succeeds.  refused WHAT CMD...: it fails.
holds() { local what=$1; shift; "$@" >"$OUT" 2>&1 || { cat "$OUT" >&2; failed "$what"; }; passed "$what"; }
refused() { local what=$1; shift; ! "$@" >"$OUT" 2>&1 || { cat "$OUT" >&2; failed "$what"; }; passed "$what"; }
# soon SECONDS WHAT CMD...: succeeds within the time.
soon() { local end=$((SECONDS + $1)) what=$2; shift 2; until "$@" >"$OUT" 2>&1; do ((SECONDS < end)) || { cat "$OUT" >&2; failed "$what"; }; sleep 0.2; done; passed "$what"; }

OUT=$(mktemp)
clean() {
  rm -f "$OUT"
  kc delete namespace smoke smoke-far --ignore-not-found >/dev/null 2>&1 || true
  bao lease revoke -force -prefix database/creds/smoke >/dev/null 2>&1 || true
}
trap clean EXIT

# A pod named POD in NAMESPACE that listens on 8080 and from which the others are tried.
ktool_pod() {
  kc apply -f - >/dev/null <<J
apiVersion: v1
kind: Pod
metadata: {name: $2, namespace: $1, labels: {app: $2}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: ktool, image: "keyhole.test/ktool:1", imagePullPolicy: IfNotPresent, args: [serve, ":8080"]}]
J
}
# from NAMESPACE POD ARGS: ktool in that pod.  no_way NAMESPACE POD ADDRESS: ktool there says that it got no connection.
from() { local namespace=$1 pod=$2; shift 2; kc exec -n "$namespace" "$pod" -- ktool "$@"; }
no_way() { local said; said=$(from "$1" "$2" dial "$3" 500ms) || true; echo "$said"; [[ $said == "not connected"* ]]; }
pod_ip() { kc get pod -n "$1" "$2" -o 'jsonpath={.status.podIP}'; }

smoke_network() {
  kc create namespace smoke >/dev/null
  kc create namespace smoke-far >/dev/null
  ktool_pod smoke server; ktool_pod smoke client; ktool_pod smoke-far stranger
  kc wait --for=condition=Ready pod/server pod/client -n smoke --timeout=60s >/dev/null
  kc wait --for=condition=Ready pod/stranger -n smoke-far --timeout=60s >/dev/null
  local server; server=$(pod_ip smoke server):8080
  holds "a pod looks up a Service" from smoke client lookup vault.vault.svc.cluster.local kubernetes.default.svc
  holds "without a policy a pod reaches another one" from smoke-far stranger dial "$server"
  kc apply -f - >/dev/null <<'J'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: smoke}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
J
  soon 10 "under default deny no pod comes in" no_way smoke-far stranger "$server"
  holds "under default deny not even a pod of the namespace" no_way smoke client "$server"
  holds "under default deny no pod gets out" no_way smoke client "$(pod_ip smoke-far stranger):8080"
  kc apply -f - >/dev/null <<'J'
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: far-to-server, namespace: smoke}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress]
  ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: smoke-far}}}], ports: [{protocol: TCP, port: 8080}]}]
J
  soon 10 "what a policy allows comes in" from smoke-far stranger dial "$server" 500ms
}

# A pod that logs in to Vault with its projected token and prints Vault's answer.
smoke_vault_login() {
  bao policy write smoke - >/dev/null <<<'path "database/creds/smoke" { capabilities = ["read"] }'
  bao write auth/kubernetes/role/smoke bound_service_account_names=smoke bound_service_account_namespaces=smoke-far \
    audience=vault token_policies=smoke token_ttl=10m >/dev/null
  kc create serviceaccount -n smoke-far smoke >/dev/null
  kc create configmap -n smoke-far vault-ca --from-file=ca.crt=/dev/stdin <"$PKI/vault-ca.crt" >/dev/null
  kc apply -f - >/dev/null <<'J'
apiVersion: v1
kind: Pod
metadata: {name: login, namespace: smoke-far}
spec:
  restartPolicy: Never
  serviceAccountName: smoke
  automountServiceAccountToken: false
  securityContext: {fsGroup: 65532}
  containers:
    - name: login
      image: keyhole.test/openbao:1
      imagePullPolicy: IfNotPresent
      args: [write, -field=token, auth/kubernetes/login, role=smoke, jwt=@/token/token]
      env: [{name: VAULT_ADDR, value: "https://vault.vault.svc:8200"}, {name: VAULT_CACERT, value: /ca/ca.crt}]
      volumeMounts: [{name: token, mountPath: /token}, {name: ca, mountPath: /ca}]
  volumes:
    - {name: ca, configMap: {name: vault-ca}}
    - {name: token, projected: {sources: [{serviceAccountToken: {path: token, audience: vault, expirationSeconds: 600}}]}}
J
  soon 30 "a pod logs in to Vault by Kubernetes auth" kc wait -n smoke-far pod/login --for=jsonpath='{.status.phase}'=Succeeded --timeout=1s
  LOGIN_TOKEN=$(kc logs -n smoke-far login)
}

smoke_database() {
  bed database smoke shop
  local server; server=$(kc get service -n smoke shop -o 'jsonpath={.spec.clusterIP}'):3306
  holds "a pod that is no proxy gets no connection to the database" no_way smoke-far stranger "$server"
  # Vault must reach it under the default deny of smoke: lockdown allows that.
  bao write database/config/smoke plugin_name=mysql-database-plugin allowed_roles=smoke \
    connection_url='{{username}}:{{password}}@tcp(shop.smoke.svc:3306)/' tls_ca=@"$PKI/db-ca.crt" username=vaultadmin \
    password="$(kc get secret -n smoke shop-admin -o 'jsonpath={.data.vault-password}' | base64 -d)" >/dev/null
  bao write database/roles/smoke db_name=smoke default_ttl=10m max_ttl=10m \
    creation_statements="CREATE USER '{{name}}'@'%' IDENTIFIED BY '{{password}}' REQUIRE SSL; GRANT SELECT ON shop.* TO '{{name}}'@'%';" \
    revocation_statements="KILL USER '{{name}}'; DROP USER IF EXISTS '{{name}}'@'%';" >/dev/null
  passed "Vault reaches the database over verified TLS"
}

smoke_lease() {
  local lease user password
  lease=$(VAULT_TOKEN=$LOGIN_TOKEN bao read -format=json database/creds/smoke)
  user=$(jq -r .data.username <<<"$lease") password=$(jq -r .data.password <<<"$lease") lease=$(jq -r .lease_id <<<"$lease")
  passed "Vault made a database user"
  as_leased() { MYSQL_PWD=$password inside mariadb -N -h shop.smoke.svc -u "$user" --ssl-ca="$PKI/db-ca.crt" --ssl-verify-server-cert "$@"; }
  holds "the leased user reads rows" as_leased -e 'SELECT COUNT(*) FROM shop.orders'
  refused "the leased user cannot write" as_leased -e 'DELETE FROM shop.orders'
  # A session that says that it is there, then stays. What cuts it shows as a lost connection (2013), a lost TLS stream (2026) or a kill (1927).
  as_leased shop --unbuffered -e 'SELECT 1; SELECT SLEEP(60)' >"$OUT.session" 2>&1 &
  local session=$!
  soon 10 "a session of the leased user is open" grep -q 1 "$OUT.session"
  holds "Vault revokes the lease" bao lease revoke -sync "$lease"
  if wait "$session"; then failed "the open session survived the revocation"; fi
  grep -qE "ERROR (2013|2026|1927)" "$OUT.session" || { cat "$OUT.session" >&2; failed "the session ended for another reason"; }
  rm -f "$OUT.session"
  passed "the open session was cut"
  refused "the old credential is refused" as_leased -e 'SELECT 1'
  grep -q "ERROR 1045" "$OUT" || { cat "$OUT" >&2; failed "the refusal is not 1045"; }
}

holds "the node is Ready" kc wait --for=condition=Ready nodes --all --timeout=1s
bed vault up
smoke_network
smoke_vault_login
smoke_database
smoke_lease
announce "all $PASSED checks passed"
