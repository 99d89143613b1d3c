# bed fault program NAME ACTION          stop, start, restart or kill a program of the cluster; returns when it is gone, or started
# bed fault pod NAMESPACE POD ACTION     freeze a pod's program where it stands (it keeps its sockets and hears nothing), or thaw it
#
# Programs: etcd, apiserver, controller-manager, scheduler, kubelet, kube-proxy, containerd, cilium-agent, cilium-operator.
# Vault and databases have faults of their own: bed vault stop, bed vault seal, bed database NAMESPACE NAME stop.
source "$HERE/parts/pods.sh"

stop() {   # SIGNAL
  runs "$name" || return 0
  inside kill "-$1" "$(cat "$CLUSTER_DIR/run/$name.pid")"
  for _ in $(seq 100); do runs "$name" || return 0; sleep 0.1; done
  inside kill -KILL "$(cat "$CLUSTER_DIR/run/$name.pid")"
}
start() {
  ! runs "$name" || return 0
  local command; eval "command=($(cat "$CLUSTER_DIR/run/$name.command"))"   # written by daemon, quoted
  daemon "$name" "${command[@]}"
}

program() {
  name=$1
  [ -e "$CLUSTER_DIR/run/$name.command" ] || { echo "no such program: $name" >&2; exit 2; }
  case $2 in
    stop) stop TERM ;;
    kill) stop KILL ;;
    start) start ;;
    restart) stop TERM; start ;;
    *) misused ;;
  esac
}

pod() {
  local pid; pid=$(main_pid "$1" "$2")
  case $3 in
    freeze) inside kill -STOP "$pid" ;;
    thaw) inside kill -CONT "$pid" ;;
    *) misused ;;
  esac
}

case ${1:-} in
  program) [ $# = 3 ] || misused; program "$2" "$3" ;;
  pod) [ $# = 4 ] || misused; pod "$2" "$3" "$4" ;;
  *) misused ;;
esac
