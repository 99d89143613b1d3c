#!/bin/sh
# Runs MariaDB in a pod. The first time it copies the prepared data folder into /data and runs what is mounted:
#   /admin/root-password, /admin/vault-password   passwords of the administrators (letters and digits only)
#   /docker-entrypoint-initdb.d/*.sql             schema and rows
#   /tls/tls.crt, /tls/tls.key, /tls/ca.crt       the server's certificate; TCP without TLS is refused
# While the file /data/stopped exists it runs no server: that is how a test takes the database away and brings it back with its data.
# Arguments go to mariadbd as they are.
set -eu

fill() {
  cp -R /usr/share/keyhole-data/. /data/
  root=$(cat /admin/root-password) vault=$(cat /admin/vault-password)
  umask 077
  cat >/tmp/init.sql <<SQL
CREATE USER 'root'@'%' IDENTIFIED BY '$root' REQUIRE SSL;
GRANT ALL PRIVILEGES ON *.* TO 'root'@'%' WITH GRANT OPTION;
CREATE USER 'vaultadmin'@'%' IDENTIFIED BY '$vault' REQUIRE SSL;
GRANT CREATE USER, PROCESS, CONNECTION ADMIN, RELOAD ON *.* TO 'vaultadmin'@'%';
SQL
  cat /docker-entrypoint-initdb.d/*.sql >>/tmp/init.sql
  touch /data/filled
}

# Small and quick rather than durable: nothing here outlives the pod.
serve() {
  mariadbd --no-defaults --datadir=/data --tmpdir=/tmp --socket=/run/mysqld/mysqld.sock --pid-file=/run/mysqld/mysqld.pid \
    --bind-address=0.0.0.0 --skip-name-resolve --require-secure-transport=ON \
    --ssl-cert=/tls/tls.crt --ssl-key=/tls/tls.key --ssl-ca=/tls/ca.crt \
    --character-set-server=utf8mb4 --max-connections=500 --max-allowed-packet=64M --performance-schema=OFF \
    --innodb-buffer-pool-size=32M --innodb-log-file-size=16M --innodb-flush-log-at-trx-commit=0 --innodb-use-native-aio=OFF "$@" &
  server=$!
  trap 'kill "$server"' TERM INT
  while kill -0 "$server" 2>/dev/null; do wait "$server" || status=$?; done
  trap 'exit 0' TERM INT
}

status=0
[ -e /data/filled ] || { fill; set -- --init-file=/tmp/init.sql "$@"; }
serve "$@"
while [ -e /data/stopped ]; do
  while [ -e /data/stopped ]; do sleep 0.1; done
  serve
done
exit "$status"
