#!/bin/bash
# audit.sh [--no-run]: the figures of the audit log, each beside its aim, as tables on standard output; --no-run only builds them.
#
# TMPDIR says which disk is measured, /var/tmp unless said. 10 GB must be free there, else the search is among fewer records. Nothing else
# should run on the machine. It takes twenty minutes; KEYHOLE_SECONDS=1 KEYHOLE_CONNECTIONS=100 KEYHOLE_RECORDS=50000
# KEYHOLE_ROUNDS=2 make a minute of it, and figures that say nothing.
set -euo pipefail
cd "$(dirname "$0")/../.."
export TMPDIR=${TMPDIR:-/var/tmp}
bench=(cargo bench --locked -p keyhole-log -p audit -p keyhole-proxy
  --bench acks --bench memory --bench search --bench verifier --bench on_record)
record=(cargo bench --locked -p keyhole-proxy --bench record)
if [ "${1:-}" = --no-run ]; then
  "${bench[@]}" --no-run
  exec "${record[@]}" --no-run
fi

medium() { df --output=fstype,source "$1" | tail -n 1 | tr -s ' '; }
printf 'The disk: %s. In memory: %s. %s cores.\n\n' "$(medium "$TMPDIR")" "$(medium /dev/shm)" "$(nproc)"
printf '| figure | measured | aim |\n|---|---|---|\n'
"${bench[@]}"

printf '\nWhat the record costs (aims, at 16 connections: 8 µs, 1,100 bytes):\n\n'
"${record[@]}"

printf '\nThe log in a bucket, of versitygw on the same disk:\n\n| figure | measured | aim |\n|---|---|---|\n'
KEYHOLE_BUCKET=1 cargo bench --locked -p keyhole-log --bench acks
