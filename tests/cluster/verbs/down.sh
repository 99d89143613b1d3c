# bed down                               takes it away, whatever state it is in
#
# Nothing stays running, mounted, in cgroups or secret. Logs stay.
if [ -z "${KH_LOCKED:-}" ]; then mkdir -p "$CACHE/state"; exec 9>"$CACHE/state/$NS.lock"; flock 9; fi
trap '' INT TERM   # once begun, it goes to the end

# The kernel ends every process of a process namespace with its init.
if pid=$(init_pid); then
  kill -9 "$pid"
  for _ in $(seq 200); do [ -e "/proc/$pid" ] || break; sleep 0.05; done
fi
for name in "$NS" "$OUTSIDE_NS"; do
  [ -e "/run/netns/$name" ] || continue
  for pid in $(ip netns pids "$name"); do kill -9 "$pid" 2>/dev/null || true; done   # an init that never got to its label, a shell in there
  ip netns del "$name"
done

remove_cgroup() {
  local group=$1
  for _ in $(seq 50); do
    [ -d "$group" ] || return 0
    find "$group" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
  done
  echo "cannot remove $group: something still runs in it" >&2
  return 1
}
if [ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ]; then remove_cgroup "/sys/fs/cgroup/$NS"
else for hierarchy in /sys/fs/cgroup/*/; do remove_cgroup "$hierarchy$NS"; done; fi

for leftover in "$CLUSTER_DIR"/*; do
  case $leftover in */log | *'/*') ;; *) rm -rf --one-file-system "$leftover" ;; esac
done
announce "cluster $NS is down"
