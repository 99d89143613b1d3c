#!/bin/bash
# ctl.sh stop|start|restart|kill NAME: one program of the cluster, for tests of faults. NAME is etcd, apiserver, controller-manager,
# scheduler, kubelet, kube-proxy, containerd, cilium-agent or cilium-operator. Returns when it is gone, or started.
source "$(dirname "$0")/../parts/lib.sh"
action=$1 name=$2
[ -e "$CLUSTER_DIR/run/$name.command" ] || { echo "no such program: $name" >&2; exit 2; }

alive() { inside kill -0 "$(cat "$CLUSTER_DIR/run/$name.pid")" 2>/dev/null; }
stop() {
  alive || return 0
  inside kill "-$1" "$(cat "$CLUSTER_DIR/run/$name.pid")"
  for _ in $(seq 100); do alive || return 0; sleep 0.1; done
  inside kill -KILL "$(cat "$CLUSTER_DIR/run/$name.pid")"
}
start() {
  alive && return 0
  local command; eval "command=($(cat "$CLUSTER_DIR/run/$name.command"))"   # written by daemon, quoted
  daemon "$name" "${command[@]}"
}

case $action in
  stop) stop TERM ;;
  kill) stop KILL ;;
  start) start ;;
  restart) stop TERM; start ;;
  *) echo "no such action: $action" >&2; exit 2 ;;
esac
