#!/bin/sh
# fill.sh ROOT: turns a Debian file system with mariadb-server-core into the MariaDB image of the test bed.
set -eu
root=$1 here=$(dirname "$0")
echo 'mysql:x:999:999:MariaDB:/nonexistent:/bin/sh' >>"$root/etc/passwd"
echo 'mysql:x:999:' >>"$root/etc/group"
# The operating system's user mysql, and nobody else, gets in as database administrator through the local socket.
chroot "$root" mariadb-install-db --user=mysql --datadir=/usr/share/keyhole-data --auth-root-authentication-method=socket \
  --auth-root-socket-user=mysql --skip-test-db --skip-name-resolve --force --innodb-log-file-size=16M >/dev/null
chmod -R a+rX "$root/usr/share/keyhole-data"
mkdir -p "$root/docker-entrypoint-initdb.d" "$root/data" "$root/run/mysqld"
cp "$here/entrypoint.sh" "$root/entrypoint.sh"
chmod 755 "$root/entrypoint.sh"
# What only an installed system needs. dpkg's list of packages stays: it says what is in here.
rm -rf "$root"/var/cache/* "$root"/var/lib/apt "$root"/var/log/* "$root"/usr/share/i18n "$root"/usr/share/perl* \
  "$root"/usr/lib/x86_64-linux-gnu/perl* "$root"/usr/lib/x86_64-linux-gnu/gconv "$root"/etc/mysql/*
