# The client of the test bed's Vault. Sourced by bed vault, bed status and bed smoke.

# bao ARGS: with the root token (or VAULT_TOKEN's) and over verified TLS.
bao() (
  local token port forward
  token=${VAULT_TOKEN:-$(cat "$CLUSTER_DIR/vault/root-token" 2>/dev/null || true)}
  export VAULT_TOKEN=$token VAULT_CACERT=$PKI/vault-ca.crt VAULT_ADDR=https://vault.vault.svc:8200
  if [ -z "${KEYHOLE_KUBECONFIG:-}" ]; then inside "$BIN_DIR/bao" "$@"; exit; fi

  # Another cluster: through a port-forward that lives as long as this call.
  port=$((20000 + RANDOM % 10000))
  kc port-forward -n vault service/vault "$port:8200" >/dev/null 2>&1 &
  forward=$!
  trap 'kill "$forward" 2>/dev/null || true' EXIT
  for _ in $(seq 50); do (: <"/dev/tcp/127.0.0.1/$port") 2>/dev/null && break; sleep 0.1; done
  VAULT_ADDR=https://127.0.0.1:$port VAULT_TLS_SERVER_NAME=vault.vault.svc "$BIN_DIR/bao" "$@"
)
