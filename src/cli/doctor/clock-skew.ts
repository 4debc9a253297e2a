// The doctor's check of this computer's clock against the Date header of the provider.
import type { Clock } from '../../host/clock.ts'
import type { Finding } from './finding.ts'

const HARMLESS_SECONDS = 30 // less has no effect: the daemon counts a token's lifetime from its receipt
const SERIOUS_SECONDS = 300

/** Seconds that this computer's clock is ahead of the server's; undefined without a valid Date header. */
export function skewOf(response: Response, clock: Clock): number | undefined {
  const date = Date.parse(response.headers.get('date') ?? '') / 1000
  return Number.isFinite(date) ? clock.now() - date : undefined
}

export function checkSkew(skew: number | undefined): Finding {
  const check = 'clock'
  if (skew === undefined) return { check, verdict: 'ok', found: 'the provider does not state the time' }
  const seconds = Math.round(Math.abs(skew))
  if (seconds <= HARMLESS_SECONDS) return { check, verdict: 'ok', found: 'it agrees with the provider’s' }
  return {
    check,
    verdict: seconds > SERIOUS_SECONDS ? 'failed' : 'warning',
    found: `it is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} the provider’s`,
    hint: 'synchronize the clock of this computer with a time server',
  }
}
