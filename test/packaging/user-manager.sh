#!/bin/sh
# A systemd user manager of its own, as root: private mounts, private processes, a bus of its own. All of it ends with this script.
# Started as: unshare --mount --pid --fork --kill-child --propagation private sh user-manager.sh FOLDER
set -eu
mount -t proc proc /proc
mount -t tmpfs tmpfs /run/systemd
mkdir /run/systemd/system # where it is, the system counts as one that systemd runs
mount -t tmpfs -o mode=700 tmpfs "$1" # the home of whoever is tested: nothing of it is left
mkdir -m 700 "$1/run" "$1/home"
export XDG_RUNTIME_DIR="$1/run" HOME="$1/home"
/lib/systemd/systemd --user --log-target=null & # it refuses to be the first process
wait
