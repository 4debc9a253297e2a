#!/bin/sh
# Logs an unprivileged user on to a Debian 13 of its own, with systemd's user manager. All of it ends with this script.
# Usage: unshare --mount --pid --fork --kill-child --propagation private sh debian-user.sh DEBIAN13 FOLDER
set -eu
base=$1 folder=$2
mount -t tmpfs tmpfs "$folder"
mkdir "$folder/upper" "$folder/work" "$folder/root"
root=$folder/root
mount -t overlay overlay -o "lowerdir=$base,upperdir=$folder/upper,workdir=$folder/work" "$root"
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t tmpfs tmpfs "$root/run"
# The first marks a system that runs systemd. In the second, systemd lays out what a unit sees: the system manager has made it.
mkdir -p "$root/run/systemd/system" "$root/run/systemd/mount-rootfs" "$root/run/user" "$root/packages"
for controller in systemd unified; do # the manager needs a control group of its own
  group=/sys/fs/cgroup/$controller
  [ -d "$group" ] || continue
  mkdir -p "$group/cadzero-auth-test-$$"
  chown -R 5001:5001 "$group/cadzero-auth-test-$$"
  echo $$ >"$group/cadzero-auth-test-$$/cgroup.procs"
done
cd "$root"
mkdir -p .old
pivot_root . .old
umount -l /.old
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
echo designer:x:5001:5001::/home/designer:/bin/sh >>/etc/passwd
echo designer:x:5001: >>/etc/group
install -d -m 700 -o designer -g designer /home/designer
install -d -m 700 -o designer -g designer /run/user/5001
setpriv --reuid=5001 --regid=5001 --clear-groups env -i PATH=/usr/bin:/bin HOME=/home/designer XDG_RUNTIME_DIR=/run/user/5001 \
  DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/5001/bus /lib/systemd/systemd --user --log-target=null &
wait
