#!/bin/bash
# run.sh check              what needs no cluster: formatting, lints (shell scripts too), licences, unit tests, chart
# run.sh test               check, then the end-to-end tests on two clusters that are made for them and taken away again
# run.sh waiting            the part of them that has a cluster of its own
# run.sh demo               the story
# run.sh bench [--json]     the figures
# run.sh fuzz [SECONDS]     the memory of texts of every shape, then generated statements through the gate on real servers, an hour of them; each run with a new seed
# KEEP=1 leaves the cluster up. KEYHOLE_KUBECONFIG=FILE (`make demo KUBECONFIG=FILE`) uses a cluster that is there.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
BED=$ROOT/tests/cluster/bed TARGET=x86_64-unknown-linux-gnu
what=$1
shift
export KH_NS=${KH_NS:-keyhole-$what}
# shellcheck disable=SC1091 # checked by itself
source "$ROOT/tests/cluster/parts/paths.sh"
export KEYHOLE_CACHE
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$KEYHOLE_CACHE/target}
export PATH=$BIN_DIR:$PATH
cd "$ROOT"

step() { printf '\n== %s (%s)\n' "$1" "$(date +%H:%M:%S)"; }

check() {
  step "formatting"; cargo fmt --all --check
  step "shell scripts"; shell_scripts | xargs shellcheck
  step "lints"; cargo clippy --workspace --all-targets --features end-to-end/cluster,end-to-end/bench --locked -- -D warnings
  step "dependencies"; deny
  step "MySQL for the tests"; tests/mysql/rootfs.sh
  step "unit tests"; cargo test --workspace --locked --no-fail-fast
  step "chart"; helm lint --quiet charts/keyhole
}

# Every shell script that git lists, by its name or its first line.
shell_scripts() {
  { git ls-files --cached --others --exclude-standard '*.sh'
    git grep -lE --untracked '^#!.*sh$' -- ':!*.snap'; } | sort -u
}

# Advisories only where their database can be reached; everything else always.
deny() {
  cargo deny check bans licenses sources
  if timeout 60 cargo deny fetch db >/dev/null 2>&1; then cargo deny check advisories
  else echo "advisories: their database can't be reached from here, skipped"; fi
}

build() {
  step "images and plug-in"; "$ROOT/images/build.sh"
  export KEYHOLE_CLI=$KEYHOLE_CACHE/images/kubectl-keyhole
  IMAGES=("$KEYHOLE_CACHE/images/keyhole-operator.tar" "$KEYHOLE_CACHE/images/keyhole-proxy.tar")
}

cluster_down() {
  local status=$?
  trap - EXIT
  if [ -n "$beside" ]; then
    kill -TERM -- "-$beside" 2>/dev/null || true
    wait "$beside" || true
    cat "$log"; rm "$log"
  fi
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then :
  elif [ -n "${KEEP:-}" ]; then how_to_use
  else "$BED" down; fi
  exit "$status"
}

# From here on nothing is left running, however this script ends.
guard() {
  trap cluster_down EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
}

cluster_up() {
  guard
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then
    export KUBECONFIG=$KEYHOLE_KUBECONFIG
    say_images
    WITHIN=()
  else
    step "cluster"; "$BED" up
    "$BED" image import "${IMAGES[@]}"
    KUBECONFIG=$("$BED" kubeconfig); export KUBECONFIG
    WITHIN=(ip netns exec "$KH_NS")
  fi
  export KEYHOLE_BED=$BED KEYHOLE_PEOPLE=$CLUSTER_DIR/people KEYHOLE_DATABASE_CA=$PKI/db-ca.crt
  step "Vault"; "$BED" vault up
  step "Keyhole"; "$BED" keyhole install
}

# Test files that wait for clocks more than they work, and take away what all others use: on a cluster of their own.
WAITING=(clocks faults_vault)
beside="" log=""

# Starts them in the background, as a process group that can be ended; what they say goes into a file meanwhile.
start_waiting() {
  guard
  log=$(mktemp)
  set -m
  KEEP="" INSTALLED=1 KH_NS=$KH_NS-waiting "$ROOT/tests/run.sh" waiting >"$log" 2>&1 </dev/null &
  beside=$!
  set +m
}

# Waits for their end, and says what they said.
end_waiting() {
  local status=0
  wait "$beside" || status=$?
  beside=""
  step "end-to-end tests that wait"; cat "$log"; rm "$log"
  return "$status"
}

# promises LANE: the test files of `all`, `waiting` or `others`, as arguments of cargo; never `chart`, which comes last.
promises() {
  local file name
  for file in tests/promises/*.rs; do
    name=$(basename "$file" .rs)
    case " ${WAITING[*]} " in *" $name "*) [ "$1" != others ] || continue ;; *) [ "$1" != waiting ] || continue ;; esac
    [ "$name" = chart ] || printf -- '--test %s ' "$name"
  done
}

# run_promises ARGUMENTS: end-to-end tests on the cluster that is up.
run_promises() {
  "${WITHIN[@]}" cargo test -p end-to-end --features cluster --locked --offline --no-fail-fast "$@"
}

say_images() {
  cat <<J
Using the cluster of $KEYHOLE_KUBECONFIG. It needs a network plugin that enforces NetworkPolicy, a default StorageClass, and
these images; bring them there (for example with \`ctr -n k8s.io images import FILE\` on its nodes, or
\`kind load image-archive FILE\`):
$(printf '  %s\n' "${IMAGES[@]}" "$IMAGE_DIR"/{openbao,mariadb,ktool}.tar)
J
  if [ -t 0 ]; then read -rp "Press Enter when they are there. "; fi
}

how_to_use() {
  cat <<J

The cluster $KH_NS is left up. To use it:
  KH_NS=$KH_NS tests/cluster/bed kubectl get accessgrants -A
  ip netns exec $KH_NS env KUBECONFIG=$KUBECONFIG bash        # a shell in which kubectl and $KEYHOLE_CLI work
  KH_NS=$KH_NS tests/cluster/bed down                              # take it away
J
}

if [ -z "${INSTALLED:-}" ]; then
  step "tools"; "$BED" install; "$BED" build
fi
case $what in
  check) check ;;
  test)
    check
    build
    step "end-to-end tests, built"; cargo test -p end-to-end --features cluster --locked --no-run
    lane=all
    if [ -z "${KEYHOLE_KUBECONFIG:-}" ]; then lane=others; start_waiting; fi
    cluster_up
    step "end-to-end tests"
    failed=0
    # shellcheck disable=SC2046 # words are wanted
    run_promises $(promises "$lane") -- --test-threads=2 || failed=1
    # What takes Keyhole itself away comes last, and also when something failed before.
    run_promises --test chart || failed=1
    if [ -n "$beside" ]; then end_waiting || failed=1; fi
    exit "$failed"
    ;;
  waiting)
    build
    cluster_up
    step "end-to-end tests"
    # shellcheck disable=SC2046
    run_promises $(promises waiting) -- --test-threads=2
    ;;
  demo)
    build
    step "demo, built"; cargo build -p end-to-end --bin demo --locked
    cluster_up
    step "the story"
    "${WITHIN[@]}" "$CARGO_TARGET_DIR/debug/demo"
    ;;
  bench)
    build
    # Optimised, and for the target of the images: most libraries are built already.
    step "bench, built"
    RUSTFLAGS="-C target-feature=+crt-static" \
      cargo build -p end-to-end --bin bench --features bench --locked --release --target "$TARGET"
    cluster_up
    step "figures"
    "${WITHIN[@]}" "$CARGO_TARGET_DIR/$TARGET/release/bench" "$@"
    ;;
  fuzz)
    step "MySQL for the tests"; tests/mysql/rootfs.sh
    step "memory of a text"; cargo test --release -p sql --test memory --locked -- --all
    step "statements"; cargo run -p differential --bin fuzz --locked -- "$@"
    ;;
  *) echo "usage: run.sh check | test | demo | bench | fuzz" >&2; exit 2 ;;
esac
