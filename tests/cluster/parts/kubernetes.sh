# etcd and the programs of Kubernetes, as plain processes inside the cluster's namespaces. Sourced by bed up.

start_etcd() {
  # The data is as short-lived as the cluster, so it need not reach the disk.
  daemon etcd "$BIN_DIR/etcd" --name keyhole --data-dir "$CLUSTER_DIR/etcd" --unsafe-no-fsync \
    --listen-client-urls http://127.0.0.1:2379 --advertise-client-urls http://127.0.0.1:2379 \
    --listen-peer-urls http://127.0.0.1:2380 --initial-advertise-peer-urls http://127.0.0.1:2380 --initial-cluster keyhole=http://127.0.0.1:2380
}

start_apiserver() {
  local audit=()
  if [ "${AUDIT:-0}" = 1 ]; then
    cat >"$CLUSTER_DIR/audit.yaml" <<J
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules: [{level: Metadata}]
J
    audit=(--audit-policy-file="$CLUSTER_DIR/audit.yaml" --audit-log-path="$CLUSTER_DIR/log/audit.json")
  fi
  daemon apiserver "$BIN_DIR/kube-apiserver" --etcd-servers=http://127.0.0.1:2379 --advertise-address="$NODE_IP" --bind-address=0.0.0.0 \
    --secure-port=6443 --service-cluster-ip-range="$SERVICE_CIDR" --authorization-mode=Node,RBAC --enable-admission-plugins=NodeRestriction \
    --allow-privileged=true --profiling=false --client-ca-file="$PKI/ca.crt" \
    --tls-cert-file="$PKI/apiserver.crt" --tls-private-key-file="$PKI/apiserver.key" \
    --kubelet-certificate-authority="$PKI/ca.crt" --kubelet-client-certificate="$PKI/apiserver-kubelet-client.crt" \
    --kubelet-client-key="$PKI/apiserver-kubelet-client.key" --kubelet-preferred-address-types=InternalIP \
    --service-account-issuer=https://kubernetes.default.svc --service-account-key-file="$PKI/service-accounts.pub" \
    --service-account-signing-key-file="$PKI/service-accounts.key" \
    --requestheader-client-ca-file="$PKI/front-proxy-ca.crt" --requestheader-allowed-names=front-proxy-client \
    --requestheader-username-headers=X-Remote-User --requestheader-group-headers=X-Remote-Group \
    --requestheader-extra-headers-prefix=X-Remote-Extra- \
    --proxy-client-cert-file="$PKI/front-proxy-client.crt" --proxy-client-key-file="$PKI/front-proxy-client.key" "${audit[@]}"
}

start_kubelet() {
  : >"$CLUSTER_DIR/empty-resolv.conf"
  mkdir -p "$CLUSTER_DIR"/{kubelet,podlogs}
  cat >"$CLUSTER_DIR/kubelet.yaml" <<J
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
authentication: {anonymous: {enabled: false}, webhook: {enabled: true, cacheTTL: 10s}, x509: {clientCAFile: $PKI/ca.crt}}
authorization: {mode: Webhook}
tlsCertFile: $PKI/kubelet-serving.crt
tlsPrivateKeyFile: $PKI/kubelet-serving.key
cgroupDriver: cgroupfs
cgroupRoot: /$NS
enforceNodeAllocatable: []
failSwapOn: false
failCgroupV1: false
containerRuntimeEndpoint: unix:///run/containerd.sock
clusterDNS: [$DNS_IP]
clusterDomain: cluster.local
resolvConf: $CLUSTER_DIR/empty-resolv.conf
podLogsDir: $CLUSTER_DIR/podlogs
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
maxPods: 200
nodeStatusUpdateFrequency: 10s
syncFrequency: 10s
J
  daemon kubelet "$BIN_DIR/kubelet" --config="$CLUSTER_DIR/kubelet.yaml" --kubeconfig="$PKI/kubelet.kubeconfig" \
    --root-dir="$CLUSTER_DIR/kubelet" --hostname-override="$NODE" --node-ip="$NODE_IP"
}

# as_itself NAME: the three flags of a program that is a client of the API server and asks it about its own clients.
as_itself() { local file=$PKI/$1.kubeconfig; echo "--kubeconfig=$file --authentication-kubeconfig=$file --authorization-kubeconfig=$file"; }

# Controller manager, scheduler and kube-proxy. Only once the API server is ready: the first two exit without the built-in roles.
start_controllers() {
  local fast=(--leader-elect=false --kube-api-qps=200 --kube-api-burst=400 --profiling=false)
  # shellcheck disable=SC2046
  daemon controller-manager "$BIN_DIR/kube-controller-manager" $(as_itself controller-manager) "${fast[@]}" \
    --use-service-account-credentials=true --root-ca-file="$PKI/ca.crt" --service-account-private-key-file="$PKI/service-accounts.key" \
    --cluster-signing-cert-file="$PKI/ca.crt" --cluster-signing-key-file="$PKI/ca.key" \
    --allocate-node-cidrs=true --cluster-cidr="$POD_CIDR" --node-cidr-mask-size=24 --service-cluster-ip-range="$SERVICE_CIDR"
  # shellcheck disable=SC2046
  daemon scheduler "$BIN_DIR/kube-scheduler" $(as_itself scheduler) "${fast[@]}"
  kc create clusterrolebinding keyhole:apiserver-kubelet --clusterrole=system:kubelet-api-admin --group=keyhole:kubelet-clients >/dev/null
  cat >"$CLUSTER_DIR/kube-proxy.yaml" <<J
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: iptables
clientConnection: {kubeconfig: $PKI/kube-proxy.kubeconfig}
clusterCIDR: $POD_CIDR
hostnameOverride: $NODE
conntrack: {maxPerCore: 0, min: 0}
J
  daemon kube-proxy "$BIN_DIR/kube-proxy" --config="$CLUSTER_DIR/kube-proxy.yaml"
}
