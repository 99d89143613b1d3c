# bed status                             what is up: programs, node, DNS, Vault, Keyhole, databases; fails unless the node and its DNS are
told() { printf '%-9s %s\n' "$1" "$2"; }
# either SO NOT CMD...: SO when the command succeeds, NOT otherwise.
either() { local so=$1 not=$2; shift 2; if "$@" >/dev/null 2>&1; then echo "$so"; else echo "$not"; fi; }

if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then told cluster "that of $KEYHOLE_KUBECONFIG"
elif pid=$(init_pid); then told cluster "$NS, process $pid"
else told cluster "$NS is down"; exit 1; fi

stopped=()
for command in "$CLUSTER_DIR"/run/*.command; do
  name=$(basename "$command" .command)
  [ ! -e "$command" ] || runs "$name" || stopped+=("$name")
done
[ ${#stopped[@]} = 0 ] || told stopped "${stopped[*]}"

node=$(either ready "not ready" kc wait --for=condition=Ready nodes --all --timeout=0s)
dns=$(either answers "does not answer" kc wait -n kube-system --for=condition=Available deployment -l k8s-app=kube-dns --timeout=0s)
told node "$node"
told DNS "$dns"
if kc get -n vault statefulset/vault >/dev/null 2>&1; then
  source "$HERE/parts/bao.sh"
  told Vault "$(either unsealed "sealed or away" bao status)"
else told Vault "not there"; fi
operators=$(kc get deployment -n "$KEYHOLE_SYSTEM" keyhole-operator -o 'jsonpath={.status.availableReplicas} of {.spec.replicas}' 2>/dev/null) ||
  operators=none
told Keyhole "operators in $KEYHOLE_SYSTEM: $operators"
kc get deployment -A -l keyhole.test/kind=database --no-headers \
  -o 'custom-columns=:.metadata.namespace,:.metadata.name,:.status.availableReplicas' 2>/dev/null |
  while read -r namespace name available; do
    told database "$name.$namespace.svc:3306 $([ "$available" = 1 ] && echo ready || echo "not ready")"
  done
[ "$node $dns" = "ready answers" ]
