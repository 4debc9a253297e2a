// What the user is told if a release is refused.
import type { Refusal } from '../../update/decision.ts'
import { CommandError } from '../failure.ts'

type Refused = Refusal | { readonly reason: 'signature' | 'format' }

const AGAIN = 'try again later, and ask your operator if it stays so; nothing was changed'
const PAGE = `check that updateUrl leads to it, and to no page of a proxy or a network; otherwise ${AGAIN}`
const CLOCK = 'set the clock of this computer, then try again; nothing was changed'

export function refusalError(refused: Refused): CommandError {
  const [message, hint] = describe(refused)
  return new CommandError(message, hint)
}

function describe(refused: Refused): [message: string, hint: string] {
  switch (refused.reason) {
    case 'signature':
      return ['update.json has no valid signature of this program’s key', PAGE]
    case 'format':
      return ['update.json is signed, but this program does not understand it', 'install the newer version by hand']
    case 'clock_behind':
      return [`the clock is wrong: it shows ${day(refused.now)}, before ${day(refused.madeAt)}`, CLOCK]
    case 'expired':
      return [
        `update.json has expired: on ${day(refused.expiresAt)}, and the clock shows ${day(refused.now)}`,
        `set the clock of this computer if it is wrong; otherwise ${AGAIN}`,
      ]
    case 'replayed':
      return ['update.json is older than this program, or than one that was seen before', AGAIN]
    case 'downgrade':
      return [`update.json names ${refused.version}, which is older than this program`, AGAIN]
    case 'too_old':
      return [
        `${refused.version} updates ${refused.updatesFrom} or newer, and this program is older`,
        'install a version in between by hand, then try again',
      ]
    case 'system':
      return [
        `${refused.version} needs ${PARTS[refused.part]} ${refused.needed}, and this computer has ${refused.found}`,
        'update the system first; this version goes on working',
      ]
    case 'no_program':
      return [
        `${refused.version} has no program for ${refused.target}`,
        'ask your operator; this version goes on working',
      ]
  }
}

const PARTS = { glibc: 'glibc', darwin: 'Darwin', windows: 'Windows' } as const

/** A date as in 2026-11-26, in UTC. */
function day(time: number): string {
  return new Date(time * 1000).toISOString().slice(0, 10)
}
