# Keys, certificates and kubeconfigs under $PKI. Sourced by the verbs up, as, vault and database. Keys never leave the folder (0700).

new_key() { openssl ecparam -name prime256v1 -genkey -noout -out "$PKI/$1.key" 2>/dev/null; }

# new_ca NAME COMMON_NAME
new_ca() {
  new_key "$1"
  openssl req -x509 -new -key "$PKI/$1.key" -subj "/CN=$2" -days 3650 -out "$PKI/$1.crt" \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign,digitalSignature 2>/dev/null
}

# new_certificate NAME CA SUBJECT USAGE [SUBJECT_ALT_NAMES]
new_certificate() {
  new_key "$1"
  local extensions="keyUsage=critical,digitalSignature,keyEncipherment"$'\n'"extendedKeyUsage=$4"
  [ -z "${5:-}" ] || extensions+=$'\n'"subjectAltName=$5"
  openssl req -new -key "$PKI/$1.key" -subj "$3" 2>/dev/null |
    openssl x509 -req -CA "$PKI/$2.crt" -CAkey "$PKI/$2.key" -set_serial "0x$(openssl rand -hex 8)" -days 3650 \
      -extfile <(echo "$extensions") -out "$PKI/$1.crt" 2>/dev/null
}

# server_secret NAMESPACE SECRET CA HOST: a Secret with tls.crt, tls.key and ca.crt for a Service's names, made once.
server_secret() {
  local file=$1.$2
  # Two servers may be made at once.
  (flock 8; [ -e "$PKI/$3.crt" ] || new_ca "$3" "keyhole test bed $3") 8>"$PKI/$3.lock"
  [ -e "$PKI/$file.crt" ] || new_certificate "$file" "$3" "/CN=$4" serverAuth "DNS:$4,DNS:$4.cluster.local"
  kc create secret generic "$2" -n "$1" --dry-run=client -o yaml --from-file=tls.crt=/dev/stdin --from-file=tls.key="$PKI/$file.key" \
    --from-file=ca.crt="$PKI/$3.crt" <"$PKI/$file.crt" | kc apply -f - >/dev/null
}

# new_kubeconfig NAME
new_kubeconfig() {
  cat >"$PKI/$1.kubeconfig" <<J
apiVersion: v1
kind: Config
clusters: [{name: keyhole, cluster: {server: "https://$NODE_IP:6443", certificate-authority: $PKI/ca.crt}}]
users: [{name: $1, user: {client-certificate: $PKI/$1.crt, client-key: $PKI/$1.key}}]
contexts: [{name: keyhole, context: {cluster: keyhole, user: $1}}]
current-context: keyhole
J
}

# kubernetes_client NAME SUBJECT
kubernetes_client() { new_certificate "$1" ca "$2" clientAuth; new_kubeconfig "$1"; }

make_pki() {
  new_ca ca keyhole-ca
  new_ca front-proxy-ca front-proxy-ca
  local services=DNS:kubernetes,DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local
  new_certificate apiserver ca /CN=kube-apiserver serverAuth "DNS:localhost,$services,IP:127.0.0.1,IP:$NODE_IP,IP:$API_IP"
  new_certificate kubelet-serving ca "/CN=$NODE" serverAuth "DNS:$NODE,IP:$NODE_IP,IP:127.0.0.1"
  new_certificate apiserver-kubelet-client ca /O=keyhole:kubelet-clients/CN=kube-apiserver-kubelet-client clientAuth
  new_certificate front-proxy-client front-proxy-ca /CN=front-proxy-client clientAuth
  kubernetes_client admin /O=system:masters/CN=admin
  kubernetes_client controller-manager /CN=system:kube-controller-manager
  kubernetes_client scheduler /CN=system:kube-scheduler
  kubernetes_client kube-proxy /CN=system:kube-proxy
  kubernetes_client kubelet "/O=system:nodes/CN=system:node:$NODE"
  new_key service-accounts
  openssl ec -in "$PKI/service-accounts.key" -pubout -out "$PKI/service-accounts.pub" 2>/dev/null
}
