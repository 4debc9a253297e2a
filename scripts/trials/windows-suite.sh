#!/bin/sh
# Builds the program and runs Vitest inside the Node.js of Windows, on Wine. Vitest runs once per group of tests: so a group
# that hangs costs no other group its result. The output goes through a file, since Node.js on Wine accepts no pipe of Linux.
# Usage: windows-suite.sh SECONDS REPORTS 'GROUP…' OPTION… (a group is a part of a path; its report is named after it)
set -u
seconds=$1 reports=$2 groups=$3
shift 3
export WINEPREFIX=/root/wine WINEARCH=win64 WINEDEBUG=-all WINESERVER=/usr/lib/wine/wineserver64
export NO_COLOR=1 CADZERO_AUTH_TEST_WINE=1 # tests of what Wine cannot do skip themselves
/usr/lib/wine/wine64 wineboot --init >/dev/null 2>&1 </dev/null
output=/tmp/output
: >"$output"
tail -f "$output" &
node() { # ARGUMENT…: in the Node.js of Windows
  timeout --kill-after=10 "$seconds" /usr/lib/wine/wine64 'Z:\usr\local\bin\node.exe' "$@" >>"$output" 2>&1 </dev/null
}
node --import tsx 'scripts\build.ts' || exit
ended=0
for group in $groups; do
  echo "== $group" >>"$output"
  report=$reports/$(echo "$group" | tr / -).json
  node 'node_modules\vitest\vitest.mjs' run --outputFile.json="$report" "$@" "$group" || ended=$?
  "$WINESERVER" -k # with all that the group has left running
  "$WINESERVER" -w
done
exit "$ended"
