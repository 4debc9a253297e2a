#!/bin/sh
# Installs cadzero-auth for the user who runs it, without root: the program into ~/.local/bin, and the entry that starts the daemon at
# log-on. Run it again to update: the session is kept.
#
#   sh install.sh [--no-service]          PREFIX=DIR installs into DIR/bin instead
#   sh install.sh --uninstall [--purge]   --purge also signs out and removes the session, its key and the configuration
set -eu
unset CDPATH   # with it, cd prints a path, and may lead to another folder
umask g-w,o-w # who can write to the program, or to its folder, can replace it

fail() { # message, hint
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

case $0 in
  *install.sh) here=$(cd "$(dirname "$0")" && pwd) ;;
  *) here=$PWD ;; # from a pipe, $0 is the shell
esac
prefix=${PREFIX:-${HOME:+$HOME/.local}}
case $prefix in
  /*) ;;
  '') fail 'HOME is not set' 'set PREFIX to the folder to install into' ;;
  *) prefix=$PWD/$prefix ;;
esac
bin=$prefix/bin
program=$bin/cadzero-auth
new=$program.$$

refuse_foreign_folder() { # sudo keeps HOME on some systems: root would leave files there that the user cannot update
  [ "$(id -u)" = 0 ] || return 0
  folder=$bin
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  owner=$(ls -ldn "$folder/" | awk '{ print $3 }')
  [ "$owner" = 0 ] || fail "$folder belongs to another user" 'run it as that user, without sudo'
}

start_hint() {
  if [ "$(uname)" = Darwin ]; then
    echo "unless it is for another processor, macOS blocks it: run xattr -dr com.apple.quarantine '$here', then try again"
  else # the shell or the loader has named the cause
    echo 'install the library that the line above names, or get the archive for this processor; see docs/install.md'
  fi
}

uninstall() { # option…
  [ -x "$program" ] || fail "$program does not exist" "set PREFIX to the folder that it was installed into"
  "$program" service uninstall "$@" || fail 'the service was not uninstalled' "run $program doctor"
  rm -rf "$program" "$program.previous" "$bin/.cadzero-auth-update"
  echo "removed $program"
}

install_program() {
  [ -f "$here/cadzero-auth" ] ||
    fail "there is no cadzero-auth in $here" 'unpack the archive, and run install.sh in its folder'
  version=$("$here/cadzero-auth" --version) || fail 'the program does not start on this computer' "$(start_hint)"
  trap 'rm -f "$new"' EXIT
  trap 'exit 1' HUP INT TERM
  # A copy beside it, then a rename: a running program cannot be written over.
  mkdir -p "$bin" && cp "$here/cadzero-auth" "$new" && chmod 755 "$new" && mv -f "$new" "$program" ||
    fail "$program was not written" 'free some space, or set PREFIX to a folder that you can write to'
  # What an interrupted `cadzero-auth update` has left would put an older program back.
  rm -rf "$program.previous" "$bin/.cadzero-auth-update"
  echo "installed $program, $version"
  case ":$PATH:" in
    *":$bin:"*) ;;
    *) echo "note: $bin is not in PATH; for this shell, run: export PATH=\"$bin:\$PATH\"" ;;
  esac
}

end_old_daemon() { # without a service: the next command starts the new one, which has the session
  said=$("$program" daemon --stop 2>&1) || return 0 # it fails if none runs
  case $said in *warning:*) printf '%s\n' "$said" >&2 ;; esac
}

refuse_foreign_folder
case "$*" in
  --uninstall | '--uninstall --purge') shift && uninstall "$@" ;;
  --no-service) install_program && end_old_daemon ;;
  '')
    install_program
    "$program" service install || {
      end_old_daemon
      echo 'note: no service runs; every command starts the daemon' >&2
    }
    ;;
  *) fail "unknown options: $*" 'use none, --no-service, --uninstall, or --uninstall --purge; PREFIX=DIR chooses the folder' ;;
esac
