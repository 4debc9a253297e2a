// The doctor's check of this computer's clock against the Date header of the provider.
import { CLOCK_TOLERANCE, LARGEST_SKEW } from '../../clerk/server-time.ts'
import type { Finding } from './finding.ts'

/** @param skew seconds that this computer's clock is ahead; null if it is not known */
export function checkSkew(skew: number | null): Finding {
  const check = 'clock'
  if (skew === null) return { check, verdict: 'ok', found: 'the provider does not state the time' }
  const seconds = Math.abs(skew)
  if (seconds <= CLOCK_TOLERANCE) return { check, verdict: 'ok', found: 'it agrees with the provider’s' }
  const found = `it is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} the provider’s`
  if (seconds <= LARGEST_SKEW) return { check, verdict: 'ok', found: `${found}, which the daemon corrects` }
  return { check, verdict: 'failed', found, hint: 'synchronize the clock of this computer with a time server' }
}
