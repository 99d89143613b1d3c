#!/bin/bash
# mariadb.sh NAMESPACE NAME: a MariaDB 10.11 at NAME.NAMESPACE.svc:3306, ready when this returns. Runs again at will.
# Secret NAME-admin holds root-password and vault-password (users root and vaultadmin, TLS only); its CA is $CLUSTER_DIR/pki/db-ca.crt.
# As administrator, without a password: kubectl exec -n NAMESPACE deploy/NAME -- mariadb -e 'SELECT ...'
source "$(dirname "$0")/lib.sh"
source "$HERE/parts/pki.sh"
namespace=$1 name=$2
mkdir -p "$PKI"; chmod 700 "$CLUSTER_DIR" "$PKI"

kc get namespace "$namespace" >/dev/null 2>&1 || kc create namespace "$namespace" >/dev/null
if ! kc get secret -n "$namespace" "$name-admin" >/dev/null 2>&1; then
  kc apply -f - >/dev/null <<J
{"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "$name-admin", "namespace": "$namespace"},
 "stringData": {"root-password": "$(random_word)", "vault-password": "$(random_word)"}}
J
fi
server_secret "$namespace" "$name-tls" db-ca "$name.$namespace.svc"
kc create configmap -n "$namespace" "$name-init" --dry-run=client -o yaml --from-file="$HERE/shop.sql" | kc apply -f - >/dev/null
kc apply -f - >/dev/null < <(sed "s|@NAME@|$name|g; s|@NAMESPACE@|$namespace|g" "$HERE/mariadb.yaml")
kc rollout status -n "$namespace" "deployment/$name" --timeout=60s >/dev/null
announce "MariaDB ready at $name.$namespace.svc:3306"
