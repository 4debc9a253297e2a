// Whether a release may replace this program: a table of releases, programs, memories and clocks.
import { describe, expect, it } from 'vitest'
import { compareVersions, decide, type ThisProgram } from '../../src/update/decision.ts'
import { readManifest } from '../../src/update/manifest.ts'
import { DAY, type Fields, manifestValue, releaseFile, SEQUENCE, signed, testPublicKey } from './releases.ts'

const BUILT_AT = SEQUENCE - 30 * DAY
const NOW = SEQUENCE + DAY

const program: ThisProgram = {
  version: '1.0.0',
  builtAt: BUILT_AT,
  target: 'linux-x64',
  names: ['cadzero-auth'],
  system: { part: 'glibc', version: '2.36' },
}

interface Case {
  readonly manifest?: Fields
  readonly program?: Partial<ThisProgram>
  readonly seen?: number
  readonly now?: number
}

function decideFor({ manifest = {}, program: own = {}, seen = 0, now = NOW }: Case) {
  const { bytes, signature } = signed(manifestValue(manifest))
  const read = readManifest(bytes, signature, testPublicKey)
  if (read.kind !== 'manifest') return expect.fail(read.reason)
  return decide(read.manifest, { ...program, ...own }, seen, now)
}

describe('a release', () => {
  it.each<[string, Case]>([
    ['is newer', {}],
    ['was seen before', { seen: SEQUENCE }],
    ['replaces a program whose commit is not known', { program: { builtAt: null } }],
    ['replaces the version under test that came before it', { program: { version: '1.1.0-rc.1' } }],
    ['needs exactly this system', { program: { system: { part: 'glibc', version: '2.28' } } }],
    ['cannot be compared with this system', { program: { system: undefined } }],
    ['expires in a second', { now: SEQUENCE + 180 * DAY - 1 }],
    ['comes from a commit of a few hours ahead of this clock', { now: SEQUENCE - DAY / 2 }],
    ['replaces the oldest version that it may replace', { manifest: { updatesFrom: '1.0.0' } }],
  ])('is available if it %s', (_name, one) => {
    expect(decideFor(one)).toMatchObject({ kind: 'available', version: '1.1.0', programs: [{ name: 'cadzero-auth' }] })
  })

  it.each<[string, Case]>([
    ['same version', { program: { version: '1.1.0', builtAt: SEQUENCE }, seen: SEQUENCE }],
    ['same version with a later end', { program: { version: '1.1.0', builtAt: SEQUENCE - 1 } }],
  ])('is current if it is the %s', (_name, one) => {
    expect(decideFor(one)).toEqual({ kind: 'current' })
  })

  it.each<[string, string, Case]>([
    ['[I3]', 'expired', { now: SEQUENCE + 180 * DAY }],
    ['[I3]', 'clock_behind', { now: BUILT_AT - 2 * DAY }],
    ['[I3]', 'clock_behind', { now: SEQUENCE - 2 * DAY }],
    ['[I3]', 'clock_behind', { now: 0 }],
    ['[I4]', 'replayed', { seen: SEQUENCE + 1 }],
    ['[I4]', 'replayed', { program: { builtAt: SEQUENCE + 1 } }],
    ['[I4]', 'replayed', { program: { version: '1.1.0', builtAt: SEQUENCE + 1 } }],
    ['[I4]', 'downgrade', { program: { version: '1.1.1', builtAt: null } }],
    ['[I4]', 'downgrade', { program: { version: '1.2.0', builtAt: SEQUENCE } }],
    ['[I4]', 'downgrade', { program: { version: '2.0.0-rc.1', builtAt: null } }],
    ['[I2]', 'too_old', { program: { version: '0.9.9' } }],
    ['[I2]', 'too_old', { manifest: { updatesFrom: '1.0.1' } }],
    ['[I2]', 'system', { program: { system: { part: 'glibc', version: '2.27' } } }],
    ['[I2]', 'system', { program: { system: { part: 'darwin', version: '22.5.0' } } }],
    ['[I2]', 'system', { program: { system: { part: 'windows', version: '10.0.17134' } } }],
    ['[I2]', 'no_program', { program: { target: 'linux-riscv64' } }],
    ['[I2]', 'no_program', { program: { target: 'win-x64', names: ['cadzero-authd.exe', 'cadzero-auth.exe'] } }],
    ['[I2]', 'no_program', { manifest: { files: [] } }],
  ])('%s is refused as %s for %j', (_id, reason, one) => {
    expect(decideFor(one)).toMatchObject({ kind: 'refused', reason })
  })

  it('names the programs of this target alone, in the order of the installation', () => {
    const files = (['win-x64', 'win-arm64'] as const).flatMap((target) =>
      (['cadzero-auth.exe', 'cadzero-authd.exe'] as const).map(
        (name) => releaseFile(target, name, Buffer.from(`${target} ${name}`)).file,
      ),
    )
    const own = { target: 'win-x64', names: ['cadzero-authd.exe', 'cadzero-auth.exe'], system: undefined } as const
    const decision = decideFor({ manifest: { files }, program: own })
    if (decision.kind !== 'available') return expect.fail(decision.kind)
    expect(decision.programs.map(({ file }) => file.name)).toEqual([
      'cadzero-authd.exe-win-x64.gz',
      'cadzero-auth.exe-win-x64.gz',
    ])
  })
})

it.each([
  ['1.0.0', '1.0.0', 0],
  ['1.0.1', '1.0.0', 1],
  ['1.10.0', '1.9.0', 1],
  ['2.0.0', '10.0.0', -1],
  ['1.1.0-rc.1', '1.1.0', -1],
  ['1.1.0', '1.1.0-rc.1', 1],
  ['1.1.0-rc.1', '1.0.9', 1],
])('%s compared with %s', (one, other, sign) => {
  expect(Math.sign(compareVersions(one, other))).toBe(sign)
})
