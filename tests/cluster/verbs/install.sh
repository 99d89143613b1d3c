# bed install [TARGET...]                the Debian packages that these targets of make need; all of them by default
#
# TARGET: demo, test, check, bench, scale, fuzz, soak, images, cluster. For Debian bookworm with Rust, Go and Python. Does nothing when
# everything is there; else it needs root and a Debian mirror.

# Not Debian's: these are there, or nothing can be done.
declare -A TOOLS=([rust]=cargo [programs]="go python3")
declare -A PACKAGES=(
  [rust]="ca-certificates gcc libc6-dev"
  [images]="buildah git"
  [programs]="ca-certificates gcc libc6-dev binutils jq openssl patch mmdebstrap python3-pip"   # bed build
  # The last three: Cilium compiles its programs at run time.
  [node]="containerd runc containernetworking-plugins iptables ipset iproute2 conntrack util-linux procps bpftool clang-16 llvm-16"
  [client]="mariadb-client"                                                   # a person's
  [servers]="mariadb-server"                                                  # of the tests of single crates, on loopback
  [checks]="git shellcheck libfaketime lua5.1"
  [store]="curl"                                                              # asks the store of objects, as its administrator
  [disks]="strace xfsprogs e2fsprogs mount"                                   # that fail: of the audit log's tests
  [yardstick]="haproxy"
)
declare -A NEEDS=(
  [images]="rust images"
  [cluster]="programs node"
  [demo]="rust images programs node client"
  [bench]="rust images programs node client servers yardstick"
  [scale]="rust images programs node client"
  [fuzz]="rust servers"
  [check]="rust programs servers checks disks store"
  [test]="rust images programs node client servers checks disks store"
  [soak]="rust programs servers disks store"
)

# Without this, Debian would start a containerd and a haproxy of its own.
forbid_service_starts() {
  [ -e /usr/sbin/policy-rc.d ] && return
  printf '#!/bin/sh\nexit 101\n' >/usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  trap 'rm -f /usr/sbin/policy-rc.d' EXIT
}

[ -z "${KEYHOLE_KUBECONFIG:-}" ] || PACKAGES[node]=   # the cluster is elsewhere
# Python need not be Debian's.
! python3 -m pip --version >/dev/null 2>&1 || PACKAGES[programs]=${PACKAGES[programs]/python3-pip/}
wanted=()
for target in "${@:-${!NEEDS[@]}}"; do
  [ -n "${NEEDS[$target]:-}" ] || misused
  for set in ${NEEDS[$target]}; do
    for tool in ${TOOLS[$set]:-}; do
      command -v "$tool" >/dev/null || { echo "$tool is missing: install Rust, Go (1.26 or newer) and Python first" >&2; exit 1; }
    done
    # shellcheck disable=SC2206 # a list of words
    wanted+=(${PACKAGES[$set]})
  done
done
installed() { dpkg-query -W -f '${db:Status-Status} ${Package}\n' | sed -n 's/^installed //p'; }
mapfile -t missing < <(comm -23 <(printf '%s\n' "${wanted[@]}" | sort -u) <(installed | sort -u))
[ ${#missing[@]} -gt 0 ] || { announce "Debian packages: all there"; exit; }
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
announce "Debian packages: installing ${missing[*]}"
[ "$(id -u)" = 0 ] || { echo "only root can install packages" >&2; exit 1; }
forbid_service_starts
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
announce "Debian packages: installed"
