// Makes the packages of all systems out of small stand-ins for the executables: assemble-stand-ins.ts OUT WORK
import { chmod, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { assemble } from '../../scripts/package/assemble.ts'
import { packForNpm } from '../../scripts/package/npm.ts'
import { TARGETS } from '../../scripts/package/targets.ts'
import { compressPrograms } from '../../scripts/package/update-programs.ts'

const version = '1.2.3'
const [out = '', work = ''] = process.argv.slice(2)
const folder = join(work, 'executables')
await mkdir(folder)
const names = TARGETS.flatMap(({ name, os }) =>
  os === 'win32'
    ? [`cadzero-auth-${version}-${name}.exe`, `cadzero-authd-${version}-${name}.exe`]
    : [`cadzero-auth-${version}-${name}`],
)
for (const name of [...names, 'THIRD-PARTY-NOTICES.txt']) {
  await writeFile(join(folder, name), `${name}\n`.repeat(1000))
  await chmod(join(folder, name), names.includes(name) ? 0o755 : 0o644)
}
await assemble({ folder, version, time: 1_700_000_000 }, TARGETS, out, work, () => undefined)
await compressPrograms(folder, version, TARGETS, out)
await packForNpm(join(folder, 'THIRD-PARTY-NOTICES.txt'), out, work)
