#!/bin/bash
# run.sh check              what needs no cluster: formatting, lints (shell scripts too), licences, unit tests, chart
# run.sh test               check, then the end-to-end tests on two clusters that are made for them and taken away again
# run.sh waiting            the part of them that has a cluster of its own
# run.sh demo               the story
# run.sh bench [--json]     the figures
# run.sh scale [GRANTS]     the figures with many live grants, 10000 unless said; only on a cluster of its own
# run.sh fuzz [SECONDS]     property tests with 50 new seeds; the memory of texts of every shape; then generated statements on real
#                           servers, an hour of them, with a new seed
# run.sh soak [SECONDS]     the audit log's simulation with new seeds, its process under every fault of a disk, and a proxy whose log is killed
#                           a hundred times or away for a minute, again and again for an hour
# KEEP=1 leaves the cluster up. KEYHOLE_KUBECONFIG=FILE (`make demo KUBECONFIG=FILE`) uses a cluster that is there.
set -euo pipefail
ROOT=$(cd "$(dirname "$0")/.." && pwd)
BED=$ROOT/tests/cluster/bed TARGET=x86_64-unknown-linux-gnu
what=$1
shift
export KH_NS=${KH_NS:-keyhole-$what}
# In memory, where thousands are measured: they would wait for the disk of etcd, Vault and the databases.
if [ "$what" = scale ]; then export CLUSTER_DIR=${CLUSTER_DIR:-/dev/shm/$KH_NS}; fi
# shellcheck disable=SC1091 # checked by itself
source "$ROOT/tests/cluster/parts/paths.sh"
# shellcheck disable=SC1091
source "$ROOT/tests/cluster/parts/time_left.sh"
export KEYHOLE_CACHE
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-$KEYHOLE_CACHE/target}
export PATH=$BIN_DIR:$PATH
export KEYHOLE_CLI=$KEYHOLE_CACHE/images/kubectl-keyhole
# One commit gives one result: the property tests draw the same inputs in every run, and new ones in `make fuzz`.
export PROPTEST_RNG_SEED=${PROPTEST_RNG_SEED:-1}
IMAGES=("$KEYHOLE_CACHE/images/keyhole-operator.tar" "$KEYHOLE_CACHE/images/keyhole-proxy.tar" "$KEYHOLE_CACHE/images/keyhole-log.tar")
cd "$ROOT"

# step NAME TEXT: says what comes now, and how much time is left. NAME is one of those in parts/time_left.sh.
step() { next_step "$1"; printf '\n== %s (%s, %s)\n' "$2" "$(date +%H:%M:%S)" "$LEFT"; }

# --- What is built: each a step. Nothing runs meanwhile that minds a busy machine.

lints() {
  step lints "formatting, shell scripts, lints"
  cargo fmt --all --check
  shell_scripts | xargs shellcheck
  cargo clippy --workspace --all-targets --features end-to-end/cluster,end-to-end/bench --locked -- -D warnings
}

# Every shell script that git lists, by its name or its first line.
shell_scripts() {
  { git ls-files --cached --others --exclude-standard '*.sh'
    git grep -lE --untracked '^#!.*sh$' -- ':!*.snap'; } | sort -u
}

tests-built() { step tests-built "unit tests, built"; cargo test --workspace --locked --no-run; }
binaries() { step binaries "images and plug-in"; images/build.sh; }
demo-built() { step demo-built "demo, built"; released --bin demo; }
bench-built() { step bench-built "bench, built"; released --bin bench --features end-to-end/bench; }
log-bench-built() { step log-bench-built "bench of the audit log, built"; tests/bench/audit.sh --no-run; }
scale-built() { step scale-built "scale, built"; released -p scale --bin scale; }

# released ARGUMENTS: a program of the tests, built beside the binaries of the images and as they are: then cargo chooses the
# same features for every library, and all of them are built already.
released() {
  RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$TARGET" \
    -p keyhole-proxy -p keyhole-operator -p keyhole-log -p kubectl-keyhole -p end-to-end "$@"
}

promises-built() {
  step promises-built "end-to-end tests, built"
  # shellcheck disable=SC2046 # words are wanted
  "${PROMISES[@]}" --no-run $(promises all) --test chart --test bucket
}

# End-to-end tests: of the whole workspace, for the same reason as above.
PROMISES=(cargo test --workspace --features end-to-end/cluster --locked)

# Test files that wait for clocks more than they work, or take away what all others use: on a cluster of their own, beside the unit
# tests and all others.
WAITING=(clocks faults_connections faults_database faults_log faults_vault leftovers no_api_server retention)

# promises LANE: the test files of `all`, `waiting` or `others`, as arguments of cargo; never `chart` and `bucket`, which come last.
promises() {
  local file name
  for file in tests/promises/*.rs; do
    name=$(basename "$file" .rs)
    case " ${WAITING[*]} " in *" $name "*) [ "$1" != others ] || continue ;; *) [ "$1" != waiting ] || continue ;; esac
    case $name in chart | bucket) continue ;; esac
    printf -- '--test %s ' "$name"
  done
}

# --- Side by side: Go programs and images of the test bed, and our own parts.

# is_built PART: as far as a look tells. A target folder that was in use has most of what its debug builds need.
is_built() {
  case $1 in
    binaries) [ "$(images/build.sh --key 2>/dev/null || echo none)" = "$(cat "$KEYHOLE_CACHE/images/key" 2>/dev/null)" ] ;;
    log-bench-built) [ -e "$CARGO_TARGET_DIR/release/deps" ] ;;
    demo-built | bench-built | scale-built) [ -e "$CARGO_TARGET_DIR/$TARGET/release/${1%-built}" ] ;;
    *) [ -e "$CARGO_TARGET_DIR/debug/deps" ] ;;
  esac
}

programs_lane() {
  [ ${#PROGRAMS[@]} = 0 ] || KEYHOLE_BESIDE=$(work "${PARTS[@]}") "$BED" build "${PROGRAMS[@]}"
  [ -z "$UNIT_TESTS" ] || { tests/mysql/rootfs.sh; audit/tlog/tests/foreign/build.sh; } >/dev/null
}

parts_lane() {
  local part
  export KEYHOLE_BESIDE; KEYHOLE_BESIDE=$(work "${programs[@]}")
  plan "${PARTS[@]}"
  for part in "${PARTS[@]}"; do "$part"; done
}

# Tests know their files by the place where they were built. Of what another checkout has built in the same folder cargo takes as fresh
# whatever is younger than the source here.
built_here() {
  local mark=$CARGO_TARGET_DIR/checkout
  if [ "$(cat "$mark" 2>/dev/null)" = "$ROOT" ]; then return; fi
  git ls-files -z '*.rs' | xargs -0 touch
  mkdir -p "$CARGO_TARGET_DIR"
  echo "$ROOT" >"$mark"
}

# Packages, then both lanes at once where memory allows: either leaves a processor idle while it downloads, links or unpacks.
# Ends with the first that fails, and the other with it.
prepare() {
  local programs=() part
  built_here
  [ ${#PROGRAMS[@]} = 0 ] || mapfile -t programs < <("$BED" build --missing "${PROGRAMS[@]}")
  # shellcheck disable=SC2034,SC2004 # time_left.sh reads it; it is no list of numbers
  for part in "${PARTS[@]}"; do ! is_built "$part" || TAKES[$part]=0; done
  KEYHOLE_AFTER=$(work "${THEN[@]}")
  KEYHOLE_WORK=$(($(work packages "${programs[@]}" "${PARTS[@]}") + KEYHOLE_AFTER))
  export KEYHOLE_WORK KEYHOLE_AFTER
  plan packages "${programs[@]}" "${PARTS[@]}"
  step packages "packages"; "$BED" install "$what"
  if [ "$(awk '/^MemAvailable/ {print int($2 / 1048576)}' /proc/meminfo)" -lt 6 ]; then
    programs_lane; programs=(); parts_lane
  else both_lanes; fi
  KEYHOLE_AFTER=0
}

both_lanes() {
  local ended lane
  export CARGO_TERM_QUIET=true   # two speak at once
  set -m
  programs_lane </dev/null & lanes+=($!)
  parts_lane </dev/null & lanes+=($!)
  set +m
  while [ ${#lanes[@]} -gt 0 ]; do
    wait -n -p ended "${lanes[@]}"
    for lane in "${!lanes[@]}"; do [ "${lanes[lane]}" != "$ended" ] || unset "lanes[$lane]"; done
  done
  unset CARGO_TERM_QUIET
}

# --- What is done with it.

# The property tests, again and again with new seeds. PROPTEST_RNG_SEED=N cargo test … repeats the round that failed.
properties() {
  for _ in {1..50}; do
    PROPTEST_RNG_SEED=$((RANDOM << 15 | RANDOM))
    echo "property tests with PROPTEST_RNG_SEED=$PROPTEST_RNG_SEED"
    cargo test --quiet --release -p sql -p wire -p keyhole-operator -p tlog -p record --lib --bins \
      --test from_outside --test second_opinion --locked
  done
}

# The audit log in its simulation and as a process, again and again with new seeds, for so many seconds and to the end of a round.
# KEYHOLE_SEED=N cargo test … repeats the round that failed; KEYHOLE_SOAK=1 tries a hundred moments of each fault, kills the log 100 times, cuts
# the power 200 times, and has 10,000 callers.
soak() {
  local until=$((SECONDS + $1))
  while
    export KEYHOLE_SEED=$((RANDOM << 30 | RANDOM << 15 | RANDOM))
    echo "the audit log with KEYHOLE_SEED=$KEYHOLE_SEED ($(date +%H:%M:%S))"
    cargo test --quiet --release -p keyhole-log --lib --locked -- engine::tests mirror::tests
    KEYHOLE_SOAK=1 cargo test --quiet --release -p keyhole-log --test process --locked -- --nocapture
    KEYHOLE_SOAK=1 cargo test --quiet --release -p keyhole-proxy --test all_in_one --locked -- --nocapture log_away log_killed
    [ "$SECONDS" -lt "$until" ]
  do :; done
}

check() {
  step unit-tests "dependencies"; deny
  step unit-tests "unit tests"; cargo test --workspace --locked --no-fail-fast
  step unit-tests "chart"; helm lint --quiet charts/keyhole
}

# Advisories only where their database can be reached; everything else always.
deny() {
  cargo deny check bans licenses sources
  if timeout 60 cargo deny fetch db >/dev/null 2>&1; then cargo deny check advisories
  else echo "advisories: their database can't be reached from here, skipped"; fi
}

lanes=() beside="" log="" cluster=""
# Nothing is left running, however this script ends.
tidy_up() {
  local status=$? lane
  trap - EXIT
  for lane in "${lanes[@]}" $beside; do kill -TERM -- "-$lane" 2>/dev/null || true; wait "$lane" || true; done
  if [ -n "$beside" ]; then cat "$log"; rm "$log"; fi
  if [ -z "$cluster" ]; then :
  elif [ -n "${KEEP:-}" ]; then how_to_use
  else "$BED" down; fi
  exit "$status"
}
trap tidy_up EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

cluster_up() {
  step cluster "cluster"
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then
    export KUBECONFIG=$KEYHOLE_KUBECONFIG
    say_images
    WITHIN=()
  else
    cluster=$KH_NS
    "$BED" up
    "$BED" image import "${IMAGES[@]}"
    KUBECONFIG=$("$BED" kubeconfig); export KUBECONFIG
    WITHIN=(ip netns exec "$KH_NS")
  fi
  export KEYHOLE_BED=$BED KEYHOLE_PEOPLE=$CLUSTER_DIR/people KEYHOLE_DATABASE_CA=$PKI/db-ca.crt
  "$BED" vault up
  "$BED" keyhole install "$@"
}

# Starts the waiting ones in the background, as a process group that can be ended; what they say goes into a file meanwhile.
start_waiting() {
  log=$(mktemp)
  set -m
  KEEP="" PREPARED=1 KEYHOLE_WORK="" KH_START="" KH_NS=$KH_NS-waiting "$ROOT/tests/run.sh" waiting >"$log" 2>&1 </dev/null &
  beside=$!
  set +m
}

# Waits for their end, and says what they said.
end_waiting() {
  local status=0
  wait "$beside" || status=$?
  beside=""
  step promises "end-to-end tests that wait"; cat "$log"; rm "$log"
  return "$status"
}

# run_promises ARGUMENTS: end-to-end tests on the cluster that is up.
run_promises() { "${WITHIN[@]}" "${PROMISES[@]}" --offline --no-fail-fast "$@"; }

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
  KH_NS=$KH_NS tests/cluster/bed kubectl get khgrant -A
  KH_NS=$KH_NS tests/cluster/bed as requester:developers kubectl get khgrant -n NAMESPACE     # as a person: of the demo also approver:approvers
  ip netns exec $KH_NS env KUBECONFIG=$KUBECONFIG PATH=$BIN_DIR:$(dirname "$KEYHOLE_CLI"):\$PATH bash    # a shell with kubectl and kubectl keyhole
  KH_NS=$KH_NS tests/cluster/bed down                         # take it away
J
}

PROGRAMS=(cluster) PARTS=() THEN=(cluster) UNIT_TESTS=""
[ -z "${KEYHOLE_KUBECONFIG:-}" ] || PROGRAMS=(elsewhere)
case $what in
  check)
    PROGRAMS=(check) PARTS=(lints tests-built) THEN=(unit-tests) UNIT_TESTS=1
    prepare
    plan "${THEN[@]}"
    check
    ;;
  test)
    PROGRAMS+=(check store) PARTS=(lints tests-built binaries promises-built) THEN=(unit-tests cluster promises) UNIT_TESTS=1
    prepare
    plan "${THEN[@]}"
    lane=all
    if [ -z "${KEYHOLE_KUBECONFIG:-}" ]; then lane=others; start_waiting; fi
    check
    cluster_up
    step promises "end-to-end tests"
    failed=0
    # shellcheck disable=SC2046 # words are wanted
    run_promises $(promises "$lane") -- --test-threads=2 || failed=1
    # What takes Keyhole itself away comes last, and also when something failed before. (The test of that name in crds runs again.)
    run_promises --test chart || failed=1
    if [ -n "$beside" ]; then end_waiting || failed=1; fi
    exit "$failed"
    ;;
  waiting)
    PROGRAMS+=(store) PARTS=(binaries promises-built) THEN=(cluster promises)
    what='test'
    [ -n "${PREPARED:-}" ] || prepare
    plan "${THEN[@]}"
    cluster_up
    step promises "end-to-end tests"
    failed=0
    # shellcheck disable=SC2046
    run_promises $(promises waiting) -- --test-threads=2 || failed=1
    # What takes the audit log itself away comes last.
    run_promises --test bucket || failed=1
    exit "$failed"
    ;;
  demo)
    PARTS=(binaries demo-built) THEN=(cluster story)
    prepare
    plan "${THEN[@]}"
    cluster_up
    step story "the story"
    "${WITHIN[@]}" "$CARGO_TARGET_DIR/$TARGET/release/demo"
    ;;
  bench)
    # Optimised, as the images are.
    PARTS=(binaries bench-built log-bench-built) THEN=(log-figures cluster figures)
    prepare
    plan "${THEN[@]}"
    # While there is no cluster: it would take part of the processors and of the disk. JSON is of the cluster's figures alone.
    step log-figures "figures of the audit log"
    if [ "${1:-}" = --json ]; then tests/bench/audit.sh >&2; else tests/bench/audit.sh; fi
    cluster_up
    step figures "figures"
    "${WITHIN[@]}" "$CARGO_TARGET_DIR/$TARGET/release/bench" "$@"
    ;;
  scale)
    PARTS=(binaries scale-built) THEN=(cluster figures)
    prepare
    plan "${THEN[@]}"
    # Who may reach whom is measured nowhere here, and a network plugin would be busy with ten thousand pods that are none.
    # Memory for that many, as docs/figures.md has it for each.
    CILIUM_FLAGS="--enable-policy=never --enable-k8s-networkpolicy=false" cluster_up --set grants.maxLive=16000 \
      --set operator.resources.limits.memory=$((160 + ${1:-10000} / 32))Mi \
      --set-string 'proxies.nodeSelector.keyhole\.test/stand-ins=true' \
      --set-json 'proxies.tolerations=[{"key": "keyhole.test/stand-ins", "operator": "Exists"}]'
    # The addresses of all stand-ins.
    ip -n "$OUTSIDE_NS" route add local 10.77.0.0/16 dev lo
    step figures "figures"
    # shellcheck disable=SC2016 # the inner shell's
    KEYHOLE_OUTSIDE=/run/netns/$OUTSIDE_NS "${WITHIN[@]}" unshare --mount bash -c 'mount --bind "$1" /etc/resolv.conf && shift && exec "$@"' _ \
      "$CLUSTER_DIR/resolv.conf" "$CARGO_TARGET_DIR/$TARGET/release/scale" "$@"
    ;;
  fuzz)
    "$BED" install fuzz
    tests/mysql/rootfs.sh >/dev/null
    properties
    cargo test --release -p sql --test memory --locked -- --all   # the memory of a text
    cargo run -p differential --bin fuzz --locked -- "$@"
    ;;
  soak)
    "$BED" install soak
    "$BED" build bao versitygw
    audit/tlog/tests/foreign/build.sh >/dev/null
    soak "${1:-3600}"
    ;;
  *) echo "usage: run.sh check | test | demo | bench | scale | fuzz | soak" >&2; exit 2 ;;
esac
