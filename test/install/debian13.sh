#!/bin/sh
# Makes a folder with Debian 13, unless it is there: Wine 10, systemd 257 and what the packages depend on.
# Usage: debian13.sh FOLDER
set -eu
folder=$1
[ ! -e "$folder/.complete" ] || exit 0
rm -rf "$folder"
mmdebstrap --quiet --variant=apt \
  --include=wine64,wine,systemd,dbus-user-session,libatomic1,libstdc++6,util-linux,init-system-helpers,procps \
  trixie "$folder"
touch "$folder/.complete"
