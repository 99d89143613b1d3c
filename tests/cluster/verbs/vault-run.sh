#!/bin/bash
# vault-run.sh [NAMESPACE NAME]: runs the commands that `kubectl keyhole vault-setup` prints, read from standard input, as Vault's
# administrator. With NAMESPACE and NAME the password of that test database's user for Vault is in the file admin-password,
# which is what the commands read by default.
source "$(dirname "$0")/../parts/lib.sh"
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
# The commands call `bao`; here that is the client with the test bed's address and root token.
printf '#!/bin/bash\nexec %q "$@"\n' "$HERE/verbs/bao.sh" >"$folder/bao"
chmod +x "$folder/bao"
if [ $# = 2 ]; then
  kc get secret -n "$1" "$2-admin" -o 'jsonpath={.data.vault-password}' | base64 -d >"$folder/admin-password"
fi
cd "$folder"
# As printed: for /bin/sh, without pipefail, under which `bao list | grep -q` would fail on a match.
PATH="$folder:$PATH" sh -s
