// Makes the programs for Windows as a release does, and an installer that is compressed in seconds, in dist-release/quick.
import { join } from 'node:path'
import { packageExecutables } from '../../scripts/package/package.ts'
import { targetsNamed } from '../../scripts/package/targets.ts'
import { makeInstaller } from '../../scripts/package/windows/installer.ts'
import { version } from './release.ts'

const FOLDER = 'dist-release/quick'

await packageExecutables(targetsNamed(['win-x64']), FOLDER)
const [console, windowed, notices] = [
  `cadzero-auth-${version}-win-x64.exe`,
  `cadzero-authd-${version}-win-x64.exe`,
  'THIRD-PARTY-NOTICES.txt',
].map((name) => join(FOLDER, name)) as [string, string, string]
await makeInstaller({ console, windowed, notices, version, time: 0, isQuick: true }, FOLDER)
