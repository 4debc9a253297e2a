// The doctor's comparison of what the daemon sees of the network with what this terminal sees: their environments may differ.
import type { RpcClient } from '../../rpc/client.ts'
import { type Diagnosis, errors, METHOD_NOT_FOUND, RpcError } from '../../rpc/contract.ts'
import { type CommonOptions, profileParams } from '../context.ts'
import { networkHint } from '../network-hint.ts'
import { type Finding, findingOf } from './finding.ts'
import { describeCertificates, describeProxy, describeReachError } from './network.ts'

const check = 'daemon network'
const SAME_FOR_BOTH =
  'set proxy and caFile in config.json, which hold for every start, and run cadzero-auth daemon --stop to end this daemon'

/** Asks the daemon to try with its own environment. @returns nothing if an earlier version of the daemon runs */
export async function compareNetwork(client: RpcClient, options: CommonOptions, own: Diagnosis): Promise<Finding[]> {
  let daemons: Diagnosis
  try {
    daemons = await client.call('diagnose', profileParams(options))
  } catch (error) {
    // An earlier version; or its configuration is wrong, which the check of the session says.
    const isKnown = error instanceof RpcError && [METHOD_NOT_FOUND, errors.configuration.code].includes(error.code)
    return isKnown ? [] : [findingOf(check, error)]
  }
  return [{ ...compare(daemons, own), details: daemons }]
}

function compare(daemons: Diagnosis, own: Diagnosis): Finding {
  const differences = differencesOf(daemons, own)
  const details = differences.map((text) => `; ${text}`).join('')
  const failed = daemons.connections.find(({ error }) => error !== null)
  if (failed?.error) {
    const isReachedHere = own.connections.some(({ url, error }) => url === failed.url && error === null)
    const contrast = isReachedHere ? ', although this terminal reaches it' : ''
    const found = `${failed.url}: ${describeReachError(failed.target, failed.error)}${contrast}${details}`
    const hint = differences.length > 0 ? SAME_FOR_BOTH : networkHint(failed.error)
    return { check, verdict: 'failed', found, ...(hint === undefined ? {} : { hint }) }
  }
  if (own.connections.some(({ error }) => error !== null)) {
    const found = `the daemon reaches what this terminal does not${details}`
    return { check, verdict: 'warning', found, hint: SAME_FOR_BOTH }
  }
  if (differences.length === 0) return { check, verdict: 'ok', found: 'the daemon reaches the same, in the same way' }
  return { check, verdict: 'warning', found: `the daemon differs from this terminal${details}`, hint: SAME_FOR_BOTH }
}

function differencesOf(daemons: Diagnosis, own: Diagnosis): string[] {
  const pairs = [
    ['it uses', addresses(daemons), addresses(own)],
    ['its proxy is', proxies(daemons), proxies(own)],
    ['it trusts', describeCertificates(daemons.certificates), describeCertificates(own.certificates)],
  ] as const
  const lacksBrowser = daemons.openers.length === 0 && own.openers.length > 0
  return [
    ...pairs.flatMap(([what, there, here]) => (there === here ? [] : [`${what} ${there} (here ${here})`])),
    ...(lacksBrowser ? ['it finds no program that opens a browser'] : []),
  ]
}

function addresses({ connections }: Diagnosis): string {
  return connections.map(({ url }) => url).join(', ')
}

function proxies({ connections }: Diagnosis): string {
  return [...new Set(connections.map(({ proxy }) => describeProxy(proxy)))].join(' and ')
}
