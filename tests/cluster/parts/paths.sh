# Where things are. Sourced by bed and by tests/run.sh; changes nothing, starts nothing.
set -euo pipefail
HERE=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Everything built or downloaded, kept between runs, outside the checkout.
KEYHOLE_CACHE=${KEYHOLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keyhole}
CACHE=$KEYHOLE_CACHE/testbed
BIN_DIR=${BIN_DIR:-$CACHE/bin}
IMAGE_DIR=${IMAGE_DIR:-$CACHE/images}
SOURCE_DIR=$CACHE/src     # unpacked sources and Debian file systems while they are being built
STAMP_DIR=$CACHE/stamps   # one file per build target: the key of the inputs that it was built from

# One cluster. Two clusters live side by side under different names: all addresses are inside their own network namespaces.
NS=${KH_NS:-keyhole}
OUTSIDE_NS=$NS-outside    # plays the world outside the cluster; has no uplink either
CLUSTER_DIR=${CLUSTER_DIR:-$CACHE/state/$NS}
PKI=$CLUSTER_DIR/pki

# Namespaces of Keyhole itself.
KEYHOLE_SYSTEM=${KEYHOLE_SYSTEM:-keyhole-system} KEYHOLE_PROXIES=${KEYHOLE_PROXIES:-keyhole-proxies}

# announce TEXT: one line of progress with the seconds since the first script of a chain began.
export KH_START=${KH_START:-${EPOCHREALTIME/[.,]/}}
announce() {
  local tenths=$(((${EPOCHREALTIME/[.,]/} - KH_START) / 100000))
  printf '[%3d.%d s] %s\n' $((tenths / 10)) $((tenths % 10)) "$*" >&2
}
