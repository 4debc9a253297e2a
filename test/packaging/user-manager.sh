#!/bin/sh
# Runs a separate systemd user manager as root: private mounts, private processes, its own bus. All of it ends with this script.
# Usage: unshare --mount --pid --fork --kill-child --propagation private sh user-manager.sh FOLDER
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run/systemd
mount -t tmpfs tmpfs /etc/systemd/user # units that are enabled for all users of this machine
mkdir /run/systemd/system # this folder marks a system that runs systemd
mount -t tmpfs -o mode=700 tmpfs "$1" # the home of the user under test, which disappears with the mount
mkdir -m 700 "$1/run" "$1/home"
export XDG_RUNTIME_DIR="$1/run" HOME="$1/home"
/lib/systemd/systemd --user --log-target=null & # it refuses to run as the first process
wait
