# The one process that a pod is for. Sourced by bed pod and bed fault; only on the test bed's own cluster.
source "$HERE/parts/containerd.sh"

# main_pid NAMESPACE POD: the process of the pod's one container that runs, as seen inside.
main_pid() {
  local namespace=$1 pod=$2 pid ids
  local labels="labels.\"io.kubernetes.pod.namespace\"==$namespace,labels.\"io.kubernetes.pod.name\"==$pod"
  ids=$(ctr -n k8s.io containers ls -q "$labels,labels.\"io.cri-containerd.kind\"==container")
  pid=$(ctr -n k8s.io tasks ls | awk -v ids="$ids" '
    BEGIN { split(ids, list, "\n"); for (i in list) wanted[list[i]] = 1 }
    $1 in wanted && $3 != "STOPPED" { print $2 }')
  [ -n "$pid" ] || { echo "no container of $namespace/$pod runs" >&2; return 1; }
  echo "$pid"
}
