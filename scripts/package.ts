// Builds the single executables into dist-bin/, with checksums, notices and a bill of materials. See docs/packaging.md.
import { parseArgs } from 'node:util'
import { packageExecutables } from './package/package.ts'
import { endWithHint } from './package/releasable.ts'
import { TARGETS, targetsNamed } from './package/targets.ts'

const { values } = parseArgs({ options: { target: { type: 'string', multiple: true }, out: { type: 'string' } } })
const targets = values.target === undefined ? TARGETS : targetsNamed(values.target)
await packageExecutables(targets, values.out ?? 'dist-bin').catch(endWithHint)
