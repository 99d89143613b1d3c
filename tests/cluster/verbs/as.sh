# bed as NAME[:GROUP,...] CMD            a command as a person of that name and those groups; without CMD the path of their kubeconfig
#
# By the API server's own signer, so it works on any cluster; the administrator approves. Rights are not given here.
source "$HERE/parts/pki.sh"
IFS=: read -r name groups <<<"${1:-}"
[ -n "$name" ] || misused
shift
# Everybody is one of the people that the chart lets connect.
subject=; for group in people ${groups//,/ }; do subject+="/O=$group"; done
person=person.$name   # apart from the cluster's own keys
mkdir -p "$PKI"; chmod 700 "$CLUSTER_DIR" "$PKI"

new_key "$person"
kc delete csr "keyhole-testbed-$name" --ignore-not-found >/dev/null
kc apply -f - >/dev/null <<J
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: "keyhole-testbed-$name"}
spec:
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
  request: $(openssl req -new -key "$PKI/$person.key" -subj "$subject/CN=$name" 2>/dev/null | base64 -w0)
J
kc certificate approve "keyhole-testbed-$name" >/dev/null
kc wait --for=jsonpath='{.status.certificate}' "csr/keyhole-testbed-$name" --timeout=20s >/dev/null
kc get csr "keyhole-testbed-$name" -o 'jsonpath={.status.certificate}' | base64 -d >"$PKI/$person.crt"

# The cluster's address and CA as the administrator's kubeconfig has them.
kc config view --raw --minify --flatten -o json |
  jq --arg name "$name" --arg certificate "$(base64 -w0 <"$PKI/$person.crt")" --arg key "$(base64 -w0 <"$PKI/$person.key")" \
    '.users = [{name: $name, user: {"client-certificate-data": $certificate, "client-key-data": $key}}]
     | .contexts[0].context.user = $name' >"$PKI/$person.kubeconfig"
chmod 600 "$PKI/$person.kubeconfig"
if [ $# = 0 ]; then echo "$PKI/$person.kubeconfig"; exit; fi
if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then exec env KUBECONFIG="$PKI/$person.kubeconfig" PATH="$BIN_DIR:$PATH" "$@"; fi
inside env KUBECONFIG="$PKI/$person.kubeconfig" "$@"
