# bed database NAMESPACE NAME            a MariaDB 10.11 at NAME.NAMESPACE.svc:3306, ready when this returns
# bed database NAMESPACE NAME stop       no server: the port is closed, the data stays
# bed database NAMESPACE NAME start      the server is back
#
# Secret NAME-admin holds root-password and vault-password (users root and vaultadmin, TLS only); its CA is pki/db-ca.crt in the
# cluster's folder. As administrator, without a password: bed kubectl exec -n NAMESPACE deploy/NAME -- mariadb -e 'SELECT ...'
[ $# -ge 2 ] || misused
source "$HERE/parts/pki.sh"
namespace=$1 name=$2
mkdir -p "$PKI"; chmod 700 "$CLUSTER_DIR" "$PKI"

in_pod() { kc exec -n "$namespace" "deployment/$name" -- "$@"; }
is_ready() { kc wait -n "$namespace" --for=condition=Available "deployment/$name" --timeout=0s; }

deploy() {
  kc get namespace "$namespace" >/dev/null 2>&1 || kc create namespace "$namespace" >/dev/null
  kc get secret -n "$namespace" "$name-admin" >/dev/null 2>&1 || kc apply -f - >/dev/null <<J
{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "$name-admin", "namespace": "$namespace"},
 "stringData": {"root-password": "$(random_word)", "vault-password": "$(random_word)"}}
J
  server_secret "$namespace" "$name-tls" db-ca "$name.$namespace.svc"
  kc create configmap -n "$namespace" "$name-init" --dry-run=client -o yaml --from-file="$HERE/objects/shop.sql" | kc apply -f - >/dev/null
  kc apply -f - >/dev/null < <(sed "s|@NAME@|$name|g; s|@NAMESPACE@|$namespace|g" "$HERE/objects/mariadb.yaml")
  kc rollout status -n "$namespace" "deployment/$name" --timeout=60s >/dev/null
  wait_for 60 "MariaDB ready at $name.$namespace.svc:3306" is_ready
}

case ${3:-up} in
  up) deploy ;;
  stop)
    in_pod sh -c 'touch /data/stopped && mariadb -e SHUTDOWN'
    # shellcheck disable=SC2016 # expands in the pod
    wait_for 30 "MariaDB $name.$namespace.svc stopped" in_pod sh -c '! kill -0 $(cat /run/mysqld/mysqld.pid)' ;;
  start)
    in_pod rm -f /data/stopped
    wait_for 30 "MariaDB $name.$namespace.svc started" in_pod mariadb -e 'SELECT 1'
    wait_for 30 "MariaDB ready at $name.$namespace.svc:3306" is_ready ;;
  *) misused ;;
esac
