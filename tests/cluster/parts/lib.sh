# What the verbs that talk to a cluster share. Sourced by bed; starts nothing by itself.

NODE=keyhole-node
NODE_IP=10.88.0.10 OUTSIDE_GATEWAY=10.88.0.1 OUTSIDE_IP=10.99.0.5
POD_CIDR=10.244.0.0/16 SERVICE_CIDR=10.96.0.0/16 API_IP=10.96.0.1 DNS_IP=10.96.0.10

# The process id of the cluster's init as this machine sees it; fails when the cluster is not up.
# The id is believed only of a process that carries the cluster's label: ids are used again after a restart of the machine.
init_pid() {
  local pid; pid=$(cat "$CLUSTER_DIR/init.pid" 2>/dev/null) || return 1
  [ "$(tr '\0' ' ' 2>/dev/null <"/proc/$pid/cmdline")" = "$BIN_DIR/pause keyhole-testbed $NS " ] && echo "$pid"
}

# inside CMD...: runs a command in the cluster's mount, network and process namespaces, in the same folder.
inside() {
  local pid; pid=$(init_pid) || { echo "cluster $NS is not up: run bed up" >&2; return 1; }
  nsenter -t "$pid" --mount --net --pid -- env -C "$PWD" PATH="$BIN_DIR:$PATH" "$@"
}

# outside CMD...: runs a command in the namespace beyond the node's only link: no pod, not the node, no uplink.
outside() { ip netns exec "$OUTSIDE_NS" "$@"; }

# kc ARGS...: kubectl as the cluster's administrator; of KEYHOLE_KUBECONFIG's cluster where that is set.
kc() {
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then "$BIN_DIR/kubectl" --kubeconfig "$KEYHOLE_KUBECONFIG" "$@"
  else inside "$BIN_DIR/kubectl" --kubeconfig "$PKI/admin.kubeconfig" "$@"; fi
}

# daemon NAME CMD...: starts a program inside; output in log/NAME.log, process id as seen inside in run/NAME.pid.
daemon() {
  local name=$1 pid; shift; pid=$(init_pid)
  printf '%q ' "$@" >"$CLUSTER_DIR/run/$name.command"
  # shellcheck disable=SC2016
  setsid nsenter -t "$pid" --mount --net --pid -- bash -c 'echo $$ >"$1"; shift; exec "$@"' _ "$CLUSTER_DIR/run/$name.pid" "$@" \
    >>"$CLUSTER_DIR/log/$name.log" 2>&1 </dev/null 9>&- &
  disown
}

# runs NAME: whether that program runs.
runs() { inside kill -0 "$(cat "$CLUSTER_DIR/run/$1.pid")" 2>/dev/null; }

# wait_for SECONDS WHAT CMD...: until the command succeeds; says how long it took in all, or fails.
wait_for() {
  local what=$2 end=$((SECONDS + $1)); shift 2
  until "$@" >/dev/null 2>&1; do
    if ((SECONDS > end)); then announce "gave up waiting: $what"; return 1; fi
    sleep 0.1
  done
  announce "$what"
}

# random_word: 32 random letters and digits, safe in SQL, YAML and shell alike.
random_word() { openssl rand -hex 16; }
