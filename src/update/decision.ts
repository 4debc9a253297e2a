// Decides whether a release may replace this program. Pure: what it depends on is passed in.
import { type Manifest, type ProgramName, programsFor, type ReleasedProgram } from './manifest.ts'

export interface ThisProgram {
  readonly version: string
  /** The time of its commit in Unix seconds; null if it is not known. */
  readonly builtAt: number | null
  /** As releases name it, such as `linux-x64`. */
  readonly target: string
  /** The files that make up this installation. */
  readonly names: readonly ProgramName[]
  /** The version of the system's part that programs need; undefined if it is not known. */
  readonly system: { readonly part: SystemKind; readonly version: string } | undefined
}

export type SystemKind = keyof Manifest['minimumSystem']

export type Refusal =
  /** This computer's clock shows a time before this program or the release was made. */
  | { readonly reason: 'clock_behind'; readonly now: number; readonly madeAt: number }
  | { readonly reason: 'expired'; readonly now: number; readonly expiresAt: number }
  /** A newer release is known: an attacker may be repeating an old one. */
  | { readonly reason: 'replayed' }
  | { readonly reason: 'downgrade'; readonly version: string }
  | { readonly reason: 'too_old'; readonly version: string; readonly updatesFrom: string }
  /** `needed` and `found` are versions of `part`. */
  | {
      readonly reason: 'system'
      readonly version: string
      readonly part: SystemKind
      readonly needed: string
      readonly found: string
    }
  | { readonly reason: 'no_program'; readonly version: string; readonly target: string }

export type Decision =
  | { readonly kind: 'current' }
  | { readonly kind: 'available'; readonly version: string; readonly programs: readonly ReleasedProgram[] }
  | ({ readonly kind: 'refused' } & Refusal)

const CLOCK_TOLERANCE = 86_400 // s; a wrong time zone is no reason to refuse

/**
 * @param seen the largest sequence number of a release that this installation has seen
 * @param now Unix seconds
 */
export function decide(manifest: Manifest, program: ThisProgram, seen: number, now: number): Decision {
  const { sequence, expiresAt, version, updatesFrom } = manifest
  const madeAt = Math.max(sequence, program.builtAt ?? 0)
  if (now < madeAt - CLOCK_TOLERANCE) return { kind: 'refused', reason: 'clock_behind', now, madeAt }
  if (now >= expiresAt) return { kind: 'refused', reason: 'expired', now, expiresAt }
  if (sequence < Math.max(seen, program.builtAt ?? 0)) return { kind: 'refused', reason: 'replayed' }
  const order = compareVersions(version, program.version)
  if (order < 0) return { kind: 'refused', reason: 'downgrade', version }
  if (order === 0) return { kind: 'current' }
  if (compareVersions(program.version, updatesFrom) < 0)
    return { kind: 'refused', reason: 'too_old', version, updatesFrom }
  return systemRefusal(manifest, program) ?? available(manifest, program)
}

function systemRefusal({ minimumSystem, version }: Manifest, { system }: ThisProgram): Decision | undefined {
  if (system === undefined) return undefined // the trial run of the new program shows it
  const { part, version: found } = system
  const needed = minimumSystem[part]
  if (compareNumbers(found, needed) >= 0) return undefined
  return { kind: 'refused', reason: 'system', version, part, needed, found }
}

function available(manifest: Manifest, { target, names }: ThisProgram): Decision {
  const { version } = manifest
  const released = programsFor(target, manifest)
  const programs = names.flatMap((name) => released.find((one) => one.name === name) ?? [])
  if (programs.length < names.length) return { kind: 'refused', reason: 'no_program', version, target }
  return { kind: 'available', version, programs }
}

/** Negative if `one` is older. A version with a suffix (1.2.0-rc.1) is older than the same without one. */
export function compareVersions(one: string, other: string): number {
  const [[numbers = '', ...suffix], [otherNumbers = '', ...otherSuffix]] = [one.split('-'), other.split('-')]
  return compareNumbers(numbers, otherNumbers) || otherSuffix.length - suffix.length
}

function compareNumbers(one: string, other: string): number {
  const [numbers, others] = [one.split('.').map(Number), other.split('.').map(Number)]
  for (let index = 0; index < Math.max(numbers.length, others.length); index++) {
    const difference = (numbers[index] ?? 0) - (others[index] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
