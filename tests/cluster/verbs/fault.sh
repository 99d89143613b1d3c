# bed fault program NAME ACTION          stop, start, restart or kill a program of the cluster; returns when it is gone, or started
# bed fault pod NAMESPACE POD ACTION     freeze a pod's program where it stands (it keeps its sockets and hears nothing), or thaw it
# bed fault pod NAMESPACE POD kill       end it at once: it says nothing
# bed fault pod NAMESPACE POD hang PORT  its connections to this port that are open carry nothing any more, and nobody is told; new ones do
# bed fault pod NAMESPACE POD mute PORT  the same, and new ones get no answer either
# bed fault pod NAMESPACE POD free       whatever hung goes on
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

# silence PID PORT [LOCAL_PORT]: what goes to that port and what comes from it is lost.
silence() {
  local within=(inside nsenter -t "$1" --net -- iptables)
  "${within[@]}" -A OUTPUT -p tcp --dport "$2" ${3:+--sport "$3"} -j DROP
  "${within[@]}" -A INPUT -p tcp --sport "$2" ${3:+--dport "$3"} -j DROP
}

# open_to PID PORT: the local ports of its connections to that port.
open_to() {
  inside nsenter -t "$1" --net -- ss --no-header --tcp --numeric state established "dport = :$2" | awk '{sub(/.*:/, "", $3); print $3}'
}

pod() {
  local pid open local_port; pid=$(main_pid "$1" "$2")
  case $3 in
    hang)
      open=$(open_to "$pid" "$4")
      [ -n "$open" ] || { echo "no connection to port $4 is open" >&2; exit 1; }
      for local_port in $open; do silence "$pid" "$4" "$local_port"; done ;;
    mute) silence "$pid" "$4" ;;
    free) inside nsenter -t "$pid" --net -- iptables -F ;;
    freeze) inside kill -STOP "$pid" ;;
    thaw) inside kill -CONT "$pid" ;;
    kill) inside kill -KILL "$pid" ;;
    *) misused ;;
  esac
}

case ${1:-} in
  program) [ $# = 3 ] || misused; program "$2" "$3" ;;
  pod) [ $# -ge 4 ] || misused; pod "${@:2}" ;;
  *) misused ;;
esac
