#!/bin/sh
# Makes the installer packages for macOS on a Mac, out of the archives of a release: pkg.sh FOLDER
# This script has not been run on a Mac yet.
#
#   SIGN_IDENTITY        "Developer ID Application: …"; without it, the program keeps its ad-hoc signature
#   INSTALLER_IDENTITY   "Developer ID Installer: …"; without it, the package is unsigned
#   NOTARY_PROFILE       made once with `xcrun notarytool store-credentials`; without it, nothing is sent to Apple
set -eu
unset CDPATH # with it, cd prints a path, and may lead to another folder
folder=$(cd "$1" && pwd)
entitlements=$(cd "$(dirname "$0")" && pwd)/entitlements.plist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for archive in "$folder"/cadzero-auth-*-macos-*.tar.gz; do
  name=$(basename "$archive" .tar.gz)
  version=${name#cadzero-auth-}
  version=${version%-macos-*}
  root=$work/$name.root
  package=$folder/$name.pkg
  tar -xzf "$archive" -C "$work"
  mkdir -p "$root/bin" "$root/share/man/man1" "$root/share/doc/cadzero-auth"
  mv "$work/$name/cadzero-auth" "$root/bin/"
  mv "$work/$name/cadzero-auth.1" "$root/share/man/man1/"
  mv "$work/$name/THIRD-PARTY-NOTICES.txt" "$root/share/doc/cadzero-auth/"
  if [ -n "${SIGN_IDENTITY:-}" ]; then
    codesign --force --sign "$SIGN_IDENTITY" --timestamp --options runtime --entitlements "$entitlements" \
      --identifier com.cadzero.cadzero-auth "$root/bin/cadzero-auth"
  fi
  codesign --verify --strict --verbose=2 "$root/bin/cadzero-auth"
  set -- --root "$root" --identifier com.cadzero.cadzero-auth --version "$version" --install-location /usr/local
  [ -z "${INSTALLER_IDENTITY:-}" ] || set -- "$@" --sign "$INSTALLER_IDENTITY" --timestamp
  pkgbuild "$@" "$package"
  if [ -n "${NOTARY_PROFILE:-}" ]; then
    xcrun notarytool submit "$package" --keychain-profile "$NOTARY_PROFILE" --wait
    xcrun stapler staple "$package"
  fi
done
