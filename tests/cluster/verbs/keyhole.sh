#!/bin/bash
# keyhole.sh [VALUES...]: installs the chart of this checkout on the running cluster, as a platform team would, or upgrades it.
# keyhole.sh uninstall: takes it away; its namespace stays, for the chart did not make it.
# keyhole.sh test: `helm test`; prints what its pod said when it fails.
# Needs Vault (vault.sh) and, in the cluster's image store, the images that images/build.sh made. VALUES are given to helm.
# KEYHOLE_CLI: the built kubectl-keyhole.
source "$(dirname "$0")/../parts/lib.sh"
ROOT=$(cd "$HERE/../.." && pwd)
SYSTEM=${KEYHOLE_SYSTEM:-keyhole-system} PROXIES=${KEYHOLE_PROXIES:-keyhole-proxies}

helm() {
  if [ -n "${KEYHOLE_KUBECONFIG:-}" ]; then "$BIN_DIR/helm" --kubeconfig "$KEYHOLE_KUBECONFIG" "$@"
  else inside "$BIN_DIR/helm" --kubeconfig "$PKI/admin.kubeconfig" "$@"; fi
}

if [ "${1:-}" = uninstall ]; then
  helm uninstall keyhole --namespace "$SYSTEM" --wait --timeout 300s >/dev/null
  announce "Keyhole is gone"
  exit
fi

if [ "${1:-}" = test ]; then
  helm test keyhole --namespace "$SYSTEM" --timeout 60s && exit
  kc -n "$SYSTEM" logs keyhole-check
  exit 1
fi

# The operator's own policy and auth role, exactly as the plug-in prints them.
"$KEYHOLE_CLI" vault-setup --operator | "$HERE/verbs/vault-run.sh"
announce "Vault knows the operator"

kc create namespace "$SYSTEM" --dry-run=client -o yaml | kc apply -f - >/dev/null
helm upgrade --install keyhole "$ROOT/charts/keyhole" --namespace "$SYSTEM" \
  --set-file vault.ca="$PKI/vault-ca.crt" --set vault.address=https://vault.vault.svc:8200 \
  --set image.operator="${KEYHOLE_OPERATOR_IMAGE:-keyhole.test/keyhole-operator:dev}" \
  --set image.proxy="${KEYHOLE_PROXY_IMAGE:-keyhole.test/keyhole-proxy:dev}" \
  --set proxies.namespace="$PROXIES" --wait --timeout 120s "$@" >/dev/null
announce "Keyhole is installed in $SYSTEM"
