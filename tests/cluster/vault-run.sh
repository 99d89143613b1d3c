#!/bin/bash
# vault-run.sh [NAMESPACE NAME]: runs the commands that `kubectl keyhole vault-setup` prints, read from standard input, as Vault's
# administrator. With NAMESPACE and NAME the password of that test database's user for Vault is at hand as VAULTADMIN_PASSWORD.
source "$(dirname "$0")/lib.sh"
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
# The commands call `bao`; here that is the client with the test bed's address and root token.
ln -s "$HERE/bao.sh" "$folder/bao"
if [ $# = 2 ]; then
  VAULTADMIN_PASSWORD=$(kc get secret -n "$1" "$2-admin" -o 'jsonpath={.data.vault-password}' | base64 -d)
  export VAULTADMIN_PASSWORD
fi
PATH="$folder:$PATH" bash -euo pipefail -s
