#!/bin/sh
# Runs a command in a copy of the repository on Debian 13. What it writes is in memory, and ends with this script.
# Usage: unshare --mount --pid --fork --kill-child --propagation private sh suite.sh DEBIAN13 FOLDER REPOSITORY MODULES NODE REPORTS COMMAND…
set -eu
base=$1 folder=$2 repository=$3 modules=$4 node=$5 reports=$6
shift 6
mount -t tmpfs tmpfs "$folder"
layer() { # LOWER NAME PLACE: a folder that can be written to, without a change to the one below
  mkdir -p "$folder/$2.upper" "$folder/$2.work" "$3"
  mount -t overlay overlay -o "lowerdir=$1,upperdir=$folder/$2.upper,workdir=$folder/$2.work" "$3"
}
root=$folder/root
layer "$base" base "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -t tmpfs tmpfs "$root/run"
mkdir -p "$root/run/systemd" "$root/srv/reports"
layer "$repository" repository "$root/srv/cadzero-auth" # outside /tmp, which a unit has for itself
[ ! -L "$root/srv/cadzero-auth/node_modules" ] || rm "$root/srv/cadzero-auth/node_modules"
layer "$modules" modules "$root/srv/cadzero-auth/node_modules"
mount --bind "$reports" "$root/srv/reports"
cp "$node" "$root/usr/local/bin/"
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
cd /srv/cadzero-auth
# Not exec: this shell is the first process of the namespace, which must wait for processes without a parent.
env -i PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 "$@"
