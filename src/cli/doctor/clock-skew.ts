// The doctor's check of this computer's clock against the Date header of the provider.
import { LARGEST_SKEW } from '../../clerk/server-time.ts'
import type { Finding } from './finding.ts'

const NOTICEABLE_SECONDS = 5 // the tolerance of Clerk's own libraries

export function checkSkew(skew: number | undefined): Finding {
  const check = 'clock'
  if (skew === undefined) return { check, verdict: 'ok', found: 'the provider does not state the time' }
  const seconds = Math.round(Math.abs(skew))
  if (seconds <= NOTICEABLE_SECONDS) return { check, verdict: 'ok', found: 'it agrees with the provider’s' }
  const found = `it is ${seconds} s ${skew > 0 ? 'ahead of' : 'behind'} the provider’s`
  if (seconds <= LARGEST_SKEW) return { check, verdict: 'ok', found: `${found}, which the daemon corrects` }
  return { check, verdict: 'failed', found, hint: 'synchronize the clock of this computer with a time server' }
}
