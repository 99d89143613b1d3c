# bed store up NAMESPACE                 a store of objects with the interface of S3 in namespace store, with an empty bucket `log`
# bed store down                         takes it away, with all that is in it
#
# Its way in is the Secret keyhole-log-bucket, which it puts into NAMESPACE: access-key-id, secret-access-key and ca.crt. It is at
# https://store.store.svc:7070.
source "$HERE/parts/pki.sh"
source "$HERE/parts/containerd.sh"
ID=AKIDOFTESTS

# As the store's administrator, from the node.
asked() {
  inside curl --silent --fail --max-time 5 --cacert "$PKI/store-ca.crt" --aws-sigv4 aws:amz:us-east-1:s3 --user "$ID:$secret" \
    -H 'x-amz-content-sha256: UNSIGNED-PAYLOAD' --request "$1" "https://store.store.svc:7070/$2"
}

up() {
  local namespace=$1 secret; secret=$(random_word)
  import_images "$IMAGE_DIR/versitygw.tar"
  kc create namespace store --dry-run=client -o yaml | kc apply -f - >/dev/null
  server_secret store store-tls store-ca store.store.svc
  kc create secret generic store-key -n store --from-literal="id=$ID" --from-literal="secret=$secret" --dry-run=client -o yaml |
    kc apply -f - >/dev/null
  kc apply -f "$HERE/objects/store.yaml" >/dev/null
  kc rollout status -n store deployment/store --timeout=60s >/dev/null
  wait_for 30 "the store answers" asked GET ""
  asked PUT log
  kc create secret generic keyhole-log-bucket -n "$namespace" --from-literal="access-key-id=$ID" --from-literal="secret-access-key=$secret" \
    --from-file=ca.crt="$PKI/store-ca.crt" --dry-run=client -o yaml | kc apply -f - >/dev/null
}

down() {
  kc delete namespace store --ignore-not-found --timeout=60s >/dev/null
}

[ -z "${KEYHOLE_KUBECONFIG:-}" ] || { echo "only in the test bed's own cluster" >&2; exit 1; }
case ${1:-} in
  up) [ $# = 2 ] || misused; up "$2" ;;
  down) down ;;
  *) misused ;;
esac
