# bed pod NAMESPACE POD memory           its program's memory in kilobytes: "resident proportional"
# bed pod NAMESPACE POD processor        the seconds of processor time that it has used
# bed pod NAMESPACE POD in CMD           a program of this machine in the pod's network
#
# Only on the test bed's own cluster.
[ $# -gt 2 ] || misused
source "$HERE/parts/pods.sh"
pid=$(main_pid "$1" "$2")
case $3 in
  memory)
    # shellcheck disable=SC2016 # awk's own
    inside awk '$1 == "Rss:" {rss = $2} $1 == "Pss:" {pss = $2} END {print rss, pss}' "/proc/$pid/smaps_rollup" ;;
  processor)
    # shellcheck disable=SC2016 # awk's own
    inside awk -v ticks="$(getconf CLK_TCK)" '{print ($14 + $15) / ticks}' "/proc/$pid/stat" ;;
  in) inside nsenter -t "$pid" --net -- "${@:4}" ;;
  *) misused ;;
esac
