#!/bin/bash
# lint.sh: checks every shell script here with shellcheck.
cd "$(dirname "$0")" || exit 1
exec shellcheck -x ./*.sh parts/*.sh images/mariadb/*.sh enter kubectl kubeconfig
