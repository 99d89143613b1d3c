# The cluster's namespaces: network, mounts, processes, and its place in the cgroups. Sourced by bed up.

# The node has one link, to a namespace that plays the world outside and forwards nothing: no packet leaves the machine.
make_network() {
  ip netns add "$NS"; ip netns add "$OUTSIDE_NS"
  ip -n "$NS" link set lo up; ip -n "$OUTSIDE_NS" link set lo up
  ip -n "$NS" link add eth0 type veth peer name eth0 netns "$OUTSIDE_NS"
  ip -n "$NS" addr add "$NODE_IP/24" dev eth0; ip -n "$NS" link set eth0 up
  ip -n "$OUTSIDE_NS" addr add "$OUTSIDE_GATEWAY/24" dev eth0; ip -n "$OUTSIDE_NS" link set eth0 up
  ip -n "$OUTSIDE_NS" addr add "$OUTSIDE_IP/32" dev lo
  ip -n "$NS" route add default via "$OUTSIDE_GATEWAY"
  ip netns exec "$NS" sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0
  ip netns exec "$OUTSIDE_NS" sysctl -qw net.ipv4.ip_forward=0
}

# The kubelet's cgroup root and, in CGROUP_PROCS and CGROUP_ROOT, where the init goes and where Cilium attaches.
make_cgroups() {
  if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then
    local enable='+cpuset +cpu +io +memory +pids'
    CGROUP_ROOT=/sys/fs/cgroup/$NS
    echo "$enable" >/sys/fs/cgroup/cgroup.subtree_control
    mkdir -p "$CGROUP_ROOT/node"
    echo "$enable" >"$CGROUP_ROOT/cgroup.subtree_control"
    CGROUP_PROCS=$CGROUP_ROOT/node/cgroup.procs   # version 2 allows processes in leaves only
  else
    local hierarchy file
    for hierarchy in /sys/fs/cgroup/*/; do mkdir -p "$hierarchy$NS"; done
    for file in cpus mems; do cat /sys/fs/cgroup/cpuset/cpuset.$file >"/sys/fs/cgroup/cpuset/$NS/cpuset.$file"; done
    CGROUP_ROOT=/sys/fs/cgroup/unified/$NS
    CGROUP_PROCS=$CGROUP_ROOT/cgroup.procs
  fi
}

# Files that take the place of sysctls which the kubelet and Cilium would set for the whole machine.
make_masks() {
  local masks=$CLUSTER_DIR/masks entry
  mkdir -p "$masks"
  for entry in vm/overcommit_memory=1 kernel/panic=10 kernel/panic_on_oops=1 kernel/unprivileged_bpf_disabled=1 \
    kernel/timer_migration=0 kernel/keys/root_maxkeys=1000000 kernel/keys/root_maxbytes=25000000; do
    mkdir -p "$masks/$(dirname "$entry")"
    echo "${entry#*=}" >"$masks/${entry%=*}"
  done
  printf 'nameserver %s\nsearch cluster.local\noptions ndots:5\n' "$DNS_IP" >"$CLUSTER_DIR/resolv.conf"
}

# The program of the cluster's init: its mounts, then a process that only waits and reaps.
write_init() {
  cat >"$CLUSTER_DIR/init.sh" <<J
#!/bin/bash
set -euo pipefail
mount -t proc proc /proc
mkdir -p "$CLUSTER_DIR/cgroup"
mount --rbind /sys/fs/cgroup "$CLUSTER_DIR/cgroup"
mount -t sysfs sysfs /sys
mount --rbind "$CLUSTER_DIR/cgroup" /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
mount -t tmpfs tmpfs /run
mkdir -p /run/lock /run/netns
mount -t tmpfs tmpfs /var/log
mount --bind "$CLUSTER_DIR/resolv.conf" /etc/resolv.conf
# Cilium asks for modules that this kernel may have built in.
mkdir -p /lib/modules
mount -t tmpfs tmpfs /lib/modules
mkdir -p "/lib/modules/\$(uname -r)"
printf 'kernel/x/%s.ko\n' ip_tables iptable_{nat,mangle,raw,filter} ip6_tables ip6table_{nat,mangle,raw,filter} xt_socket \\
  >"/lib/modules/\$(uname -r)/modules.builtin"
mkdir -p /var/lib/cni /var/lib/kubelet
mount -t tmpfs tmpfs /var/lib/cni
cd "$CLUSTER_DIR/masks"
find . -type f | while read -r mask; do [ ! -e "/proc/sys/\$mask" ] || mount --bind "\$mask" "/proc/sys/\$mask"; done
cd /
mount --make-rshared /
touch "$CLUSTER_DIR/run/init.ready"
exec "$BIN_DIR/pause" keyhole-testbed "$NS"
J
  chmod +x "$CLUSTER_DIR/init.sh"
}

# Starts the init and keeps its process id. Killing that one process ends everything in the cluster.
start_init() {
  local outer inner=
  make_masks
  write_init
  # shellcheck disable=SC2016
  setsid bash -c 'echo $$ >"$1"; exec nsenter --net="/run/netns/$2" unshare --mount --pid --fork --propagation private -- "$3"' \
    _ "$CGROUP_PROCS" "$NS" "$CLUSTER_DIR/init.sh" >"$CLUSTER_DIR/log/init.log" 2>&1 </dev/null 9>&- &
  outer=$!
  disown
  for _ in $(seq 200); do
    inner=$(tr -d ' ' <"/proc/$outer/task/$outer/children" 2>/dev/null) || true
    [ -n "$inner" ] && [ -e "$CLUSTER_DIR/run/init.ready" ] && { echo "$inner" >"$CLUSTER_DIR/init.pid"; init_pid >/dev/null && return; }
    sleep 0.05
  done
  echo "the cluster's init did not start" >&2
  return 1
}
