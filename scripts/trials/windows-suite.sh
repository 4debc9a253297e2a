#!/bin/sh
# Runs Vitest inside the Node.js of Windows, on Wine. Its output goes through a file, since Node.js on Wine accepts no pipes.
# Usage: windows-suite.sh ARGUMENT…
set -u
export WINEPREFIX=/root/wine WINEARCH=win64 WINEDEBUG=-all WINESERVER=/usr/lib/wine/wineserver64
/usr/lib/wine/wine64 wineboot --init >/dev/null 2>&1 </dev/null
output=/tmp/output
: >"$output"
tail -f "$output" &
NO_COLOR=1 /usr/lib/wine/wine64 'Z:\usr\local\bin\node.exe' 'node_modules\vitest\vitest.mjs' run "$@" >>"$output" 2>&1 </dev/null
code=$?
"$WINESERVER" -k
exit "$code"
