#!/bin/bash
# person.sh NAME [GROUP...]: makes a kubeconfig for a person of that name and groups and prints its path.
# By the API server's own signer, so it works on any cluster; the administrator approves. Rights are not given here.
source "$(dirname "$0")/../parts/lib.sh"
source "$HERE/parts/pki.sh"
name=$1; shift
subject=; for group; do subject+="/O=$group"; done
mkdir -p "$PKI"; chmod 700 "$CLUSTER_DIR" "$PKI"

new_key "$name"
kc delete csr "keyhole-testbed-$name" --ignore-not-found >/dev/null
kc apply -f - >/dev/null <<J
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: "keyhole-testbed-$name"}
spec:
  signerName: kubernetes.io/kube-apiserver-client
  usages: [client auth]
  request: $(openssl req -new -key "$PKI/$name.key" -subj "$subject/CN=$name" 2>/dev/null | base64 -w0)
J
kc certificate approve "keyhole-testbed-$name" >/dev/null
kc wait --for=jsonpath='{.status.certificate}' "csr/keyhole-testbed-$name" --timeout=20s >/dev/null
kc get csr "keyhole-testbed-$name" -o 'jsonpath={.status.certificate}' | base64 -d >"$PKI/$name.crt"

# The cluster's address and CA as the administrator's kubeconfig has them.
kc config view --raw --minify --flatten -o json |
  jq --arg name "$name" --arg certificate "$(base64 -w0 <"$PKI/$name.crt")" --arg key "$(base64 -w0 <"$PKI/$name.key")" \
    '.users = [{name: $name, user: {"client-certificate-data": $certificate, "client-key-data": $key}}]
     | .contexts[0].context.user = $name' >"$PKI/$name.kubeconfig"
chmod 600 "$PKI/$name.kubeconfig"
echo "$PKI/$name.kubeconfig"
