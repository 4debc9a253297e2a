// The manifests of the package managers that download the files of a release: Homebrew, scoop and winget.
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

const HOMEPAGE = 'https://www.cadzero.xyz'
const SUMMARY = 'Keeps you signed in to CADZERO'

export interface Published {
  readonly name: string
  readonly sha256: string
}

export interface Release {
  readonly version: string
  /** The address below which the files are published, without a slash at its end. */
  readonly baseUrl: string
  readonly files: readonly Published[]
}

/** Writes the manifests below a folder. @throws an error if a file that they name is not in the release */
export async function writeManifests(release: Release, folder: string): Promise<void> {
  const texts = {
    'homebrew/cadzero-auth.rb': formula(release),
    'scoop/cadzero-auth.json': scoop(release),
    ...winget(release),
  }
  for (const [path, text] of Object.entries(texts)) {
    await mkdir(dirname(join(folder, path)), { recursive: true })
    await writeFile(join(folder, path), text)
  }
}

function published({ files, baseUrl }: Release, suffix: string): { readonly url: string; readonly sha256: string } {
  const file = files.find(({ name }) => name.endsWith(suffix))
  if (file === undefined) throw new Error(`the release has no file that ends with ${suffix}`)
  return { url: `${baseUrl}/${file.name}`, sha256: file.sha256 }
}

function formula(release: Release): string {
  const block = (processor: string, target: string) => {
    const { url, sha256 } = published(release, `${target}.tar.gz`)
    return `    on_${processor} do\n      url "${url}"\n      sha256 "${sha256}"\n    end`
  }
  return `class CadzeroAuth < Formula
  desc "${SUMMARY}"
  homepage "${HOMEPAGE}"
  version "${release.version}"
  license :cannot_represent

  on_macos do
${block('arm', 'macos-arm64')}
${block('intel', 'macos-x64')}
  end

  on_linux do
${block('arm', 'linux-arm64')}
${block('intel', 'linux-x64')}
  end

  def install
    bin.install "cadzero-auth"
    man1.install "cadzero-auth.1"
    doc.install "THIRD-PARTY-NOTICES.txt"
    generate_completions_from_executable(bin/"cadzero-auth", "completion")
  end

  def caveats
    <<~EOS
      To start the daemon at log-on, run:
        brew services start cadzero-auth
      "cadzero-auth service install" would start this version also after an upgrade.
    EOS
  end

  service do
    run [opt_bin/"cadzero-auth", "daemon", "--replace"]
    keep_alive successful_exit: false
  end

  test do
    assert_match version.to_s, shell_output("#{bin}/cadzero-auth --version")
  end
end
`
}

function scoop(release: Release): string {
  const { url, sha256 } = published(release, 'win-x64.zip')
  const manifest = {
    version: release.version,
    description: SUMMARY,
    homepage: HOMEPAGE,
    license: 'Proprietary',
    architecture: { '64bit': { url, hash: sha256 } },
    bin: 'cadzero-auth.exe',
    notes: [
      'To update, run "cadzero-auth daemon --stop" first: scoop updates no program that runs.',
      'Your session is kept by an update, and when you uninstall the program.',
    ],
    post_install: '& "$dir\\cadzero-auth.exe" service install',
    pre_uninstall: [
      '& "$dir\\cadzero-auth.exe" daemon --stop', // also before an update, if scoop is told to ignore programs that run
      'if ($cmd -eq "uninstall") { & "$dir\\cadzero-auth.exe" service uninstall }',
    ],
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}

const WINGET_SCHEMA = '1.6.0'
const WINGET_ID = 'CADZERO.SignIn'

function winget(release: Release): Readonly<Record<string, string>> {
  const { url, sha256 } = published(release, 'win-x64-setup.exe')
  const manifest = (kind: string, fields: readonly string[]) =>
    [
      `PackageIdentifier: ${WINGET_ID}`,
      `PackageVersion: ${release.version}`,
      ...fields,
      `ManifestType: ${kind}`,
      `ManifestVersion: ${WINGET_SCHEMA}`,
      '',
    ].join('\n')
  const installer = [
    'InstallerType: nullsoft',
    'Scope: user',
    'UpgradeBehavior: install',
    'MinimumOSVersion: 10.0.17763.0',
    'Installers:',
    '- Architecture: x64',
    `  InstallerUrl: ${url}`,
    `  InstallerSha256: ${sha256.toUpperCase()}`,
    '  ProductCode: cadzero-auth',
  ]
  const locale = [
    'PackageLocale: en-US',
    'Publisher: CADZERO',
    `PublisherUrl: ${HOMEPAGE}`,
    'PackageName: CADZERO sign-in',
    'License: Proprietary',
    `ShortDescription: ${SUMMARY}`,
  ]
  return {
    [`winget/${WINGET_ID}.yaml`]: manifest('version', ['DefaultLocale: en-US']),
    [`winget/${WINGET_ID}.installer.yaml`]: manifest('installer', installer),
    [`winget/${WINGET_ID}.locale.en-US.yaml`]: manifest('defaultLocale', locale),
  }
}
