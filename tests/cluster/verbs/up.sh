# bed up                                 one cluster; returns when its node is ready and its DNS answers
#
# Does nothing when it is up already. When it fails or is interrupted it takes everything down again and shows the ends of the
# logs. EXTRA_IMAGES="a.tar b.tar" are imported too; AUDIT=1 keeps the API server's audit log; CILIUM_FLAGS go to Cilium's agent.
for part in namespaces pki containerd kubernetes cilium; do source "$HERE/parts/$part.sh"; done

mkdir -p "$CACHE/state"
exec 9>"$CACHE/state/$NS.lock"
flock 9
export KH_LOCKED=1   # for bed down, which takes the same lock

dns_answers() { kc wait -n kube-system --for=condition=Available deployment/coredns --timeout=0s; }
node_is_ready() { kc wait --for=condition=Ready "node/$NODE" --timeout=0s; }

if init_pid >/dev/null; then
  if node_is_ready >/dev/null 2>&1 && dns_answers >/dev/null 2>&1; then announce "cluster $NS is up already"; exit 0; fi
  announce "cluster $NS is up only in part: starting again"
fi
for binary in kubelet etcd coredns cilium-agent pause; do
  [ -x "$BIN_DIR/$binary" ] || { echo "$BIN_DIR/$binary is missing: run make install" >&2; exit 1; }
done

give_up() {
  local status=$?
  trap - EXIT
  trap '' INT TERM   # a second Ctrl-C must not stop the tidying
  announce "cluster $NS did not come up; the ends of its logs:"
  tail -n 2 "$CLUSTER_DIR"/log/*.log | cut -c1-300 >&2 || true
  bed down
  exit "$status"
}
bed down >/dev/null
trap give_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
rm -rf --one-file-system "$CLUSTER_DIR"
mkdir -p "$CLUSTER_DIR"/{log,run,pki}
chmod 700 "$CLUSTER_DIR"

make_network
make_cgroups
start_init
announce "namespaces"
make_pki
announce "keys and certificates"
start_etcd
start_containerd
start_apiserver
wait_for 30 "containerd answers" ctr version
import_images "$IMAGE_DIR"/{pause,coredns,ktool}.tar
# shellcheck disable=SC2086 # a list of files
import_images "$IMAGE_DIR"/{openbao,mariadb}.tar ${EXTRA_IMAGES:-} 9>&- &
imports=$!
start_kubelet
wait_for 60 "API server ready" kc get --raw /readyz
start_controllers
start_cilium
kc apply -f - >/dev/null < <(sed "s/@DNS_IP@/$DNS_IP/" "$HERE/objects/coredns.yaml")
wait_for 60 "node registered" kc get node "$NODE"
wait_for 60 "node Ready" node_is_ready
wait_for 60 "DNS answers" dns_answers
wait "$imports"
trap - EXIT INT TERM
announce "cluster $NS is up: bed kubectl"
