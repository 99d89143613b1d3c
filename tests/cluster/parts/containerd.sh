# The cluster's own containerd and its images. Sourced by the verbs up, image, pod and fault.

ctr() { inside /usr/bin/ctr --address /run/containerd.sock "$@"; }

start_containerd() {
  local root=$CLUSTER_DIR/containerd
  mkdir -p "$root" "$CLUSTER_DIR"/cni/{bin,net.d}
  cp /usr/lib/cni/loopback "$BIN_DIR/cilium-cni" "$CLUSTER_DIR/cni/bin/"
  # restrict_oom_score_adj: root may lack CAP_SYS_RESOURCE here, and runc then fails to lower oom_score_adj.
  cat >"$CLUSTER_DIR/containerd.toml" <<J
version = 2
root = "$root"
state = "/run/containerd"
disabled_plugins = ["io.containerd.snapshotter.v1.btrfs", "io.containerd.snapshotter.v1.zfs", "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.devmapper", "io.containerd.tracing.processor.v1.otlp"]
[grpc]
  address = "/run/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "keyhole.test/pause:1"
  restrict_oom_score_adj = true
  max_container_log_line_size = 262144
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "overlayfs"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
        SystemdCgroup = false
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "$CLUSTER_DIR/cni/bin"
    conf_dir = "$CLUSTER_DIR/cni/net.d"
J
  daemon containerd /usr/bin/containerd -c "$CLUSTER_DIR/containerd.toml"
}

# import_images FILE...: docker-archive or OCI archive files.
import_images() {
  local file
  for file; do
    ctr -n k8s.io images import "$file" >>"$CLUSTER_DIR/log/import.log" 2>&1 || { echo "cannot import image $file" >&2; return 1; }
    announce "image $(basename "$file" .tar)"
  done
}
