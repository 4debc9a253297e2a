// How the daemon asks the keyring: a prompt that the user has dismissed rests, for the store key and the proxy's password alike.
import type { Host } from '../host/host.ts'
import { systemRun } from '../host/run.ts'
import type { Keyring } from '../store/keyring.ts'
import { type PromptRest, restingKeyring } from '../store/prompt-rest.ts'
import { isSecretServiceUnlocked } from '../store/secret-service.ts'

export interface QuietKeyringParts {
  readonly host: Pick<Host, 'clock'>
  readonly env: NodeJS.ProcessEnv
  readonly promptRest: PromptRest
}

export function quietKeyring({ host: { clock }, env, promptRest }: QuietKeyringParts): (keyring: Keyring) => Keyring {
  const isUnlocked = () => isSecretServiceUnlocked(systemRun(clock, env))
  return (keyring) => restingKeyring(keyring, promptRest, clock, isUnlocked)
}
