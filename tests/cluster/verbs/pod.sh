#!/bin/bash
# pod.sh NAMESPACE POD freeze | thaw     stops the pod's program where it stands (it keeps its sockets and hears nothing), or lets it go on
# pod.sh NAMESPACE POD memory            its memory in kilobytes, "resident proportional"
# pod.sh NAMESPACE POD enter CMD...      runs a program of this machine in the pod's network
# Only on the test bed's own cluster.
source "$(dirname "$0")/../parts/lib.sh"
source "$HERE/parts/containerd.sh"
namespace=$1 pod=$2 what=$3; shift 3

# The process of the pod's one container that runs, as seen inside.
main_pid() {
  local labels="labels.\"io.kubernetes.pod.namespace\"==$namespace,labels.\"io.kubernetes.pod.name\"==$pod" pid
  local ids; ids=$(ctr -n k8s.io containers ls -q "$labels,labels.\"io.cri-containerd.kind\"==container")
  pid=$(ctr -n k8s.io tasks ls | awk -v ids="$ids" '
    BEGIN { split(ids, list, "\n"); for (i in list) wanted[list[i]] = 1 }
    $1 in wanted && $3 != "STOPPED" { print $2 }')
  [ -n "$pid" ] || { echo "no container of $namespace/$pod runs" >&2; return 1; }
  echo "$pid"
}

pid=$(main_pid)
case $what in
  freeze) inside kill -STOP "$pid" ;;
  thaw) inside kill -CONT "$pid" ;;
  memory)
    # shellcheck disable=SC2016 # awk's own
    inside awk '$1 == "Rss:" {rss = $2} $1 == "Pss:" {pss = $2} END {print rss, pss}' "/proc/$pid/smaps_rollup" ;;
  enter) inside nsenter -t "$pid" --net -- "$@" ;;
  *) echo "unknown: $what" >&2; exit 2 ;;
esac
