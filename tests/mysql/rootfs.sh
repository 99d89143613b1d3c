#!/bin/bash
# rootfs.sh: a MySQL server and client with every library that they need, unpacked from Debian's packages into the cache.
# Prints the folder on standard output; `run PROGRAM` in it starts PROGRAM with those libraries and none of this machine's.
#
# Debian's stable releases have MariaDB only, so the packages are those of sid (unstable), whose C library is newer than this
# machine's: nothing of it is installed here, and nothing outside the folder is changed. Does nothing, and needs no network, when
# the folder is there. FRESH=1 looks for a newer version. DEBIAN_MIRROR names another mirror. Needs no root.
#
# What is trusted: apt checks the mirror's lists against Debian's archive keyring, and every package against the lists.
set -euo pipefail
# sid keeps no old version, so this one is preferred and not demanded: it is what the tests were last seen to pass with.
TRIED=9.7.4-2
SELF=$(realpath "$0")
# The mirror that this machine's apt uses.
# shellcheck disable=SC2016
MIRROR=${DEBIAN_MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(COMPONENT)' 'Created-By: Packages' | awk '$1 ~ "/debian/?$" && $2 == "main" {print $1; exit}')}
KEYRING=/usr/share/keyrings/debian-archive-keyring.gpg
CACHE=${KEYHOLE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/keyhole}/mysql
# Names the folder that this very script made. Another checkout's script may keep another one beside it.
CURRENT=$CACHE/current.$(sha256sum <"$SELF" | cut -c1-16)

say() { printf 'MySQL for the tests: %s\n' "$*" >&2; }
give_up() { say "$*"; exit 1; }

# The folder made before, if it is whole.
warm() {
  [ -z "${FRESH:-}" ] || return 1
  local made
  read -r made 2>/dev/null <"$CURRENT" || return 1
  [ -x "$CACHE/$made/run" ] && echo "$CACHE/$made"
}

# apt with lists, packages and state of its own, and the machine's settings for how to reach and judge its mirrors. Perl counts as
# installed: only scripts beside the server need it.
prepare_apt() {
  mkdir -p "$work/none" "$work/state/lists/partial" "$work/cache/archives/partial"
  printf '%s\n' 'Package: perl' 'Status: install ok installed' 'Version: 99' 'Architecture: amd64' 'Multi-Arch: allowed' \
    'Maintainer: none' 'Description: none' >"$work/status"
  echo "deb [arch=amd64 signed-by=$KEYRING] $MIRROR sid main" >"$work/sources.list"
  cat >"$work/apt.conf" <<CONF
Dir::Etc::sourcelist "$work/sources.list"; Dir::Etc::sourceparts "$work/none";
Dir::Etc::preferences "/dev/null"; Dir::Etc::preferencesparts "$work/none";
Dir::State "$work/state"; Dir::State::status "$work/status"; Dir::Cache "$work/cache";
APT::Architecture "amd64"; APT::Architectures { "amd64"; }; APT::Sandbox::User "root"; APT::Install-Recommends "false";
Acquire::Retries "2"; Acquire::http::Timeout "30"; Acquire::IndexTargets::deb::DEP-11::DefaultEnabled "false";
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
CONF
}

download() {
  [ -n "$MIRROR" ] || give_up "this machine's apt knows no Debian mirror: name one in DEBIAN_MIRROR"
  [ -r "$KEYRING" ] || give_up "$KEYRING is missing: install debian-archive-keyring"
  say "asking $MIRROR for the packages of sid"
  apt-get -c "$work/apt.conf" -qq --error-on=any update >&2 || give_up "the mirror $MIRROR can't be reached or can't be trusted (see above); DEBIAN_MIRROR names another"
  version=$(apt-cache -c "$work/apt.conf" madison mysql-server-core | awk -F'[| ]+' '{print $3}' | grep -Fx "$TRIED" ||
    apt-cache -c "$work/apt.conf" policy mysql-server-core | awk '/Candidate:/ {print $2}')
  case $version in "" | "(none)") give_up "sid has no mysql-server-core today" ;; esac
  [ "$version" = "$TRIED" ] || say "sid has $version; the tests were last seen to pass with $TRIED"
  apt-get -c "$work/apt.conf" -qq -y --download-only install "mysql-server-core=$version" "mysql-client-core=$version" >"$work/log" 2>&1 ||
    { cat "$work/log" >&2; give_up "the packages can't be downloaded from $MIRROR (see above)"; }
}

# The key is that of every package and of this script, so a folder never changes.
unpack() {
  local key package
  key=$(cd "$work/cache/archives" && sha256sum -- *.deb "$SELF" | awk '{print $1}' | sha256sum | cut -c1-16)
  name=$version-$key
  [ ! -x "$CACHE/$name/run" ] || return 0
  say "unpacking $version"
  mkdir "$work/tree"
  for package in "$work"/cache/archives/*.deb; do dpkg-deb -x "$package" "$work/tree"; done
  find "$work/tree/usr/bin" -type f ! -name mysql -delete
  rm -rf "$work"/tree/usr/share/{doc,man,locale,lintian,perl5} "$work"/tree/usr/lib/x86_64-linux-gnu/{gconv,perl*}
  cat >"$work/tree/run" <<'RUN'
#!/bin/sh
# run PROGRAM ARGS: a program of this folder, with the libraries of this folder.
root=$(dirname "$(realpath "$0")")
program=$1; shift
for folder in usr/sbin usr/bin; do
  [ -x "$root/$folder/$program" ] || continue
  OPENSSL_CONF=/dev/null; export OPENSSL_CONF
  exec "$root/usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2" --library-path "$root/usr/lib/x86_64-linux-gnu" \
    "$root/$folder/$program" "$@"
done
echo "run: there is no $program here" >&2
exit 127
RUN
  chmod 755 "$work/tree" "$work/tree/run"
  "$work/tree/run" mysqld --no-defaults --version >&2 || give_up "the server of $version does not start on this machine"
  rm -rf "${CACHE:?}/$name"
  mv "$work/tree" "$CACHE/$name"
}

[ "$(uname -m)" = x86_64 ] || give_up "made for x86_64 machines only"
warm && exit
mkdir -p "$CACHE"
exec 9>"$CACHE/lock"
flock 9
warm && exit   # another one made it meanwhile
work=$(mktemp -d "$CACHE/work.XXXXXX")
trap 'rm -rf "$work"' EXIT
prepare_apt
download
unpack
echo "$name" >"$work/current"
mv "$work/current" "$CURRENT"
# Not sooner: tests may be running on them.
find "$CACHE" -mindepth 1 -maxdepth 1 -type d -mtime +7 ! -name "$name" -exec rm -rf {} +
say "$version, in $CACHE/$name"
echo "$CACHE/$name"
