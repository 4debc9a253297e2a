#!/bin/sh
# Signs the macOS executables in dist-bin/ (or the files in the arguments) on a Mac. Apple silicon starts no unsigned program.
# This script has not been run on a Mac yet.
#
#   SIGN_IDENTITY     "Developer ID Application: …"; without it, an ad-hoc signature, which is valid on this Mac only
#   NOTARY_PROFILE    created once with `xcrun notarytool store-credentials`; without it, nothing is sent to Apple
set -eu
cd "$(dirname "$0")/../../.."

identity=${SIGN_IDENTITY:--}
entitlements=scripts/package/macos/entitlements.plist
[ $# -gt 0 ] || set -- dist-bin/cadzero-auth-*-macos-*
[ "$identity" = - ] && stamp=--timestamp=none || stamp=--timestamp

for file; do
  codesign --force --sign "$identity" "$stamp" --options runtime --entitlements "$entitlements" \
    --identifier com.cadzero.cadzero-auth "$file"
  codesign --verify --strict --verbose=2 "$file"
  if [ -n "${NOTARY_PROFILE:-}" ]; then
    ditto -c -k "$file" "$file.zip" # notarytool accepts archives; a bare executable cannot be stapled
    xcrun notarytool submit "$file.zip" --keychain-profile "$NOTARY_PROFILE" --wait
    rm "$file.zip"
  fi
done

# Signing has changed the files.
cd "$(dirname "$1")"
shasum -a 256 $(ls | grep -vx SHA256SUMS) > SHA256SUMS
