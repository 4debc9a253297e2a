#!/bin/sh
# Installs cadzero-auth for the user who runs it, without root: the program into ~/.local/bin, and the entry that starts the daemon at
# log-on. Run it again to update: the session is kept.
#
#   sh install.sh [--no-service]          PREFIX=DIR installs into DIR/bin instead
#   sh install.sh --uninstall [--purge]   --purge also signs out and removes the session, its key and the configuration
set -eu

here=$(cd "$(dirname "$0")" && pwd)
bin=${PREFIX:-$HOME/.local}/bin
program=$bin/cadzero-auth

fail() { # message, hint
  printf 'error: %s\nhint: %s\n' "$1" "$2" >&2
  exit 1
}

uninstall() { # option…
  [ -x "$program" ] || fail "$program does not exist" "set PREFIX to the folder that it was installed into"
  "$program" service uninstall "$@" || fail 'the service was not uninstalled' "run $program doctor"
  rm -rf "$program" "$program.previous" "$bin/.cadzero-auth-update"
  echo "removed $program"
}

install_program() {
  # On a minimal Linux the loader names the library that is missing.
  version=$("$here/cadzero-auth" --version) ||
    fail 'the program does not start on this computer' 'install the library that the line above names; see docs/install.md'
  mkdir -p "$bin"
  # A copy beside it, then a rename: a running program cannot be written over.
  cp "$here/cadzero-auth" "$program.$$"
  chmod 755 "$program.$$"
  mv -f "$program.$$" "$program"
  # What an interrupted `cadzero-auth update` has left would put an older program back.
  rm -rf "$program.previous" "$bin/.cadzero-auth-update"
  echo "installed $program, $version"
  case ":$PATH:" in
    *":$bin:"*) ;;
    *) echo "note: $bin is not in PATH" ;;
  esac
}

end_old_daemon() { # without a service: the next command starts the new one, which has the session
  "$program" daemon --stop >/dev/null 2>&1 || true # it fails if none runs
}

case ${1:-} in
  --uninstall) shift && uninstall "$@" ;;
  --no-service) install_program && end_old_daemon ;;
  '')
    install_program
    "$program" service install || {
      end_old_daemon
      echo 'note: there is no service; every command starts the daemon' >&2
    }
    ;;
  *) fail "unknown option: $1" 'read the first lines of install.sh' ;;
esac
