#!/bin/sh
# Signs the macOS executables in dist-bin/ (or those that are named), on a Mac: unsigned, Apple silicon does not start them.
# Nobody has run this yet.
#
#   SIGN_IDENTITY     "Developer ID Application: …"; without one an ad-hoc signature, good on this very Mac alone
#   NOTARY_PROFILE    made once by `xcrun notarytool store-credentials`; without one nothing is sent to Apple
set -eu
cd "$(dirname "$0")/../.."

identity=${SIGN_IDENTITY:--}
entitlements=scripts/package/entitlements.plist
[ $# -gt 0 ] || set -- dist-bin/cadzero-auth-*-macos-*
[ "$identity" = - ] && stamp=--timestamp=none || stamp=--timestamp

for file; do
  codesign --force --sign "$identity" "$stamp" --options runtime --entitlements "$entitlements" \
    --identifier com.cadzero.cadzero-auth "$file"
  codesign --verify --strict --verbose=2 "$file"
  if [ -n "${NOTARY_PROFILE:-}" ]; then
    ditto -c -k "$file" "$file.zip" # Apple takes archives; what it says is kept with Apple: there is nothing to staple to
    xcrun notarytool submit "$file.zip" --keychain-profile "$NOTARY_PROFILE" --wait
    rm "$file.zip"
  fi
done

# The files are not what they were.
cd "$(dirname "$1")"
shasum -a 256 $(ls | grep -vx SHA256SUMS) > SHA256SUMS
