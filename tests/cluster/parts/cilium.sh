# Cilium 1.15 as plain processes inside the cluster's namespaces: it enforces NetworkPolicy. Sourced by bed up.

start_cilium() {
  local home=$CLUSTER_DIR/cilium
  mkdir -p "$home/lib" "$home/bin"
  cp -r "$BIN_DIR/cilium-bpf" "$home/lib/bpf"
  ln -sf "$(command -v clang-16)" "$home/bin/clang"
  ln -sf "$(command -v llc-16)" "$home/bin/llc"
  daemon cilium-operator env K8S_NODE_NAME="$NODE" "$BIN_DIR/cilium-operator-generic" --k8s-kubeconfig-path="$PKI/admin.kubeconfig" \
    --identity-allocation-mode=crd --ipam=kubernetes --enable-ipv4=true --enable-ipv6=false --enable-k8s=true \
    --operator-prometheus-serve-addr= --enable-metrics=false --cluster-pool-ipv4-cidr="$POD_CIDR" \
    --leader-election-lease-duration=600s --leader-election-renew-deadline=300s
  # TMPDIR on another mount than the CNI folder: else the agent moves its CNI file in by rename, which containerd 1.6 does not notice.
  # policy-cidr-match-mode=nodes: else an ipBlock never matches the node or the API server.
  # shellcheck disable=SC2086 # CILIUM_FLAGS is a list of flags
  daemon cilium-agent env TMPDIR=/run K8S_NODE_NAME="$NODE" PATH="$home/bin:$PATH" "$BIN_DIR/cilium-agent" \
    --k8s-kubeconfig-path="$PKI/admin.kubeconfig" --identity-allocation-mode=crd --ipam=kubernetes --k8s-require-ipv4-pod-cidr=true \
    --enable-ipv4=true --enable-ipv6=false --routing-mode=native --ipv4-native-routing-cidr="$POD_CIDR" --ipv4-node="$NODE_IP" --devices=eth0 \
    --kube-proxy-replacement=false --enable-l7-proxy=false --enable-hubble=false --enable-health-checking=false \
    --enable-endpoint-health-checking=false --enable-k8s-networkpolicy=true --policy-cidr-match-mode=nodes \
    --enable-well-known-identities=false --enable-bpf-clock-probe=false --debug=false \
    --bpf-root=/sys/fs/bpf --cgroup-root="$CGROUP_ROOT" --lib-dir="$home/lib" --state-dir=/run/cilium \
    --socket-path=/run/cilium/cilium.sock --cni-log-file=/run/cilium/cilium-cni.log \
    --write-cni-conf-when-ready="$CLUSTER_DIR/cni/net.d/05-cilium.conflist" --cni-exclusive=false ${CILIUM_FLAGS:-}
}
