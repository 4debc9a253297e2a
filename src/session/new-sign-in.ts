// Makes a sign-in of the wanted method out of the parts of one profile.
import type { CallbackAddress } from '../callback/callback-listener.ts'
import type { Grant, IdentityProvider } from '../clerk/identity-provider.ts'
import type { Host } from '../host/host.ts'
import type { Log } from '../log/log.ts'
import { BrowserSignIn } from './browser-sign-in.ts'
import { DeviceSignIn } from './device-sign-in.ts'
import type { LoginHint } from './login-hint.ts'
import type { Mutex } from './mutex.ts'
import type { PromptPause } from './prompt-pause.ts'
import type { SessionLoader } from './session-loader.ts'
import type { SessionWriter } from './session-writer.ts'
import type { SignInCommit } from './sign-in-commit.ts'
import type { LoginOptions, SignIn } from './sign-ins.ts'
import type { SignedIn } from './state.ts'

export interface NewSignInParts {
  readonly profile: string
  readonly provider: IdentityProvider
  readonly callbackAddress: CallbackAddress
  /** The fixed callback ports of the sign-ins that wait, shared by all profiles. */
  readonly callbackPorts: Map<number, string>
  readonly host: Host
  readonly loginHint: LoginHint
  readonly promptPause: PromptPause
  readonly mutex: Mutex
  readonly writer: SessionWriter
  readonly loader: SessionLoader
  readonly commit: SignInCommit
  readonly log: Log
  /** Called when the user can act: the link or the code is known. */
  readonly onWaiting: () => void
}

/** Starts a sign-in. */
export function newSignIn(
  { method = 'browser', prompt, takeOver = false }: LoginOptions,
  parts: NewSignInParts,
): SignIn {
  const { profile, provider, host, loginHint, promptPause, mutex, writer, loader, commit, log, onWaiting } = parts
  log.info('sign_in_started')
  const shared = {
    provider,
    clock: host.clock,
    mutex,
    takeOver,
    prepare: async () => {
      if (!takeOver) await writer.requireOwnFile() // before the person is asked
      await loader.prepareKey()
    },
    save: (grant: Grant) => commit.save(grant, takeOver),
    onSignedIn: (next: SignedIn) => commit.publish(next),
    onWaiting,
  }
  if (method === 'device') return new DeviceSignIn(shared)
  return new BrowserSignIn({
    ...shared,
    profile,
    callbackAddress: parts.callbackAddress,
    callbackPorts: parts.callbackPorts,
    openBrowser: host.openBrowser,
    socketOwner: host.socketOwner,
    prompt,
    hints: () => loginHint.read(),
    onOpening: () => void promptPause.opened(),
    onRefused: (reason) => log.warn('callback_refused', { reason }),
  })
}
