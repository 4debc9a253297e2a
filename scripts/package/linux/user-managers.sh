# Asks the systemd manager of each user who is logged on and has no unit of their own in the place of the package's: for_each_user COMMAND…
# Works without a bus to the manager of another user, which systemd has only since version 250. The command runs as the user, without the
# terminal of root, and may take 10 seconds.
UNIT=/usr/lib/systemd/user/cadzero-auth.service
for_each_user() {
  for runtime in /run/user/*; do
    [ -S "$runtime/systemd/private" ] || continue
    [ "$(ask_manager "$runtime" show --property=FragmentPath cadzero-auth.service)" = "FragmentPath=$UNIT" ] || continue
    ask_manager "$runtime" "$@" >/dev/null || true
  done
}
ask_manager() {
  user=$(stat -c %u "$1") group=$(stat -c %g "$1") place=$1
  shift
  setsid --wait timeout 10 setpriv --reuid="$user" --regid="$group" --clear-groups --no-new-privs \
    env -i PATH=/usr/bin:/bin XDG_RUNTIME_DIR="$place" systemctl --user "$@" </dev/null 2>/dev/null
}
