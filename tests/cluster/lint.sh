#!/bin/bash
# lint.sh: checks every shell script of the tests with shellcheck.
cd "$(dirname "$0")" || exit 1
exec shellcheck -x ./*.sh ../mysql/*.sh parts/*.sh images/mariadb/*.sh enter kubectl kubeconfig
