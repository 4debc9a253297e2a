#!/bin/sh
# Makes a folder with Debian 13, unless it is there: Wine 10, systemd 257, and what the packages and the tests use.
# Usage: debian13.sh FOLDER
set -eu
folder=$1
base=wine64,wine,systemd,rpm,dbus-user-session,libatomic1,libstdc++6,util-linux,init-system-helpers,procps
tests=ca-certificates,curl,fish,git,gnome-keyring,groff-base,iproute2,libsecret-tools,openssl,python3,python3-jwcrypto,redis-server,strace,zsh
[ "$(cat "$folder/.complete" 2>/dev/null)" != "$base,$tests" ] || exit 0
if [ -e "$folder/.complete" ]; then # made by an older version of this script
  cp /etc/resolv.conf "$folder/etc/resolv.conf"
  chroot "$folder" sh -c "apt-get update -q && DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $(echo "$base,$tests" | tr , ' ')"
else
  rm -rf "$folder"
  mmdebstrap --quiet --variant=apt --include="$base,$tests" trixie "$folder"
fi
echo "$base,$tests" >"$folder/.complete"
