// A sign-in that a command waits for: with the user's browser, which the daemon opens, or on another device.
import { isAbsolute } from 'node:path'
import { withoutBundle } from '../host/child-environment.ts'
import { type DesktopEnvironment, desktopVariables } from '../host/desktop.ts'
import type { RpcClient } from '../rpc/client.ts'
import { errors, INVALID_PARAMS, type Params, type Result, RpcError, type Status } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { deliverPastedCallbacks } from './pasted-callback.ts'
import { SignInDisplay } from './sign-in-display.ts'
import { isOverSsh, lacksBrowser } from './user-place.ts'

export interface SignInOptions extends CommonOptions {
  readonly browser: boolean
  /** Whether to sign in on another device. If not given, that is tried when this computer can open no browser for the user. */
  readonly device?: boolean
  /** Whether the provider must ask again who the user is. */
  readonly switchAccount?: boolean
  /** Seconds; undefined for the daemon's default. */
  readonly timeout?: number
  /** Whether to read callback addresses from standard input even if it is not a terminal. */
  readonly paste?: boolean
  /** Whether a person has just asked for it. If not, it fails after sign-ins that no person answered. */
  readonly userAsked: boolean
  /** Whether to sign in although the saved session belongs to another installation. */
  readonly takeOver?: boolean
}

type LoginParams = Params<'login'>
type Login = (params: LoginParams) => Promise<Result<'login'>>

const { signInFailed, providerRejected } = errors

/** Signs a user in, and resolves with the status. Ctrl-C cancels the sign-in. @throws RpcError */
export async function signIn(context: Context, client: RpcClient, options: SignInOptions): Promise<Result<'login'>> {
  const { clock, fetch } = context.host
  const display = new SignInDisplay(clock, options.browser)
  // An error here has the same cause as the error of the login below, which the command reports.
  const before = await client.call('status', profileParams(options)).catch(() => undefined)
  client.onNotification((method, params) => {
    if (method !== 'sessionChanged') return
    const status = params as Status
    if (before === undefined || status.profile === before.profile) display.show(status)
  })
  const stopReading =
    process.stdin.isTTY === true || options.paste
      ? deliverPastedCallbacks(process.stdin, {
          fetch,
          link: () => display.link,
          onTyped: (length) => display.showTyped(length),
        })
      : undefined
  let isCancelled = false
  // Without this, the daemon would wait for the sign-in that the user has interrupted.
  const cancel = () => {
    isCancelled = true
    client.call('cancelLogin', profileParams(options)).catch(() => undefined)
  }
  process.once('SIGINT', cancel)
  const login: Login = async (params) => {
    // A call after the cancellation would start another sign-in.
    if (isCancelled) throw new RpcError(signInFailed.code, signInFailed.message, { reason: 'cancelled' })
    return await client.call('login', params)
  }
  try {
    return await waitForSignIn(login, options, display)
  } finally {
    process.removeListener('SIGINT', cancel)
    stopReading?.()
    display.end()
  }
}

async function waitForSignIn(login: Login, options: SignInOptions, display: SignInDisplay): Promise<Result<'login'>> {
  const { browser, device, switchAccount, timeout, userAsked, takeOver } = options
  // A daemon of an earlier version, which an update has left running, refuses a param that it does not know.
  const params: LoginParams = {
    ...profileParams(options),
    ...(timeout !== undefined && { timeoutSeconds: timeout }),
    ...(switchAccount && { prompt: 'login' }),
    ...(!userAsked && { userAsked }),
    ...(takeOver && { takeOver }),
  }
  if (device) return await signInOnDevice(login, params, display)
  if (browser && isOverSsh(process.env)) {
    const status = await tryDevice(login, params, display)
    if (status) return status
  }
  return await signInWithBrowser(login, params, browser, display)
}

async function signInOnDevice(login: Login, params: LoginParams, display: SignInDisplay): Promise<Result<'login'>> {
  await showCode(login, params, display)
  return await login({ ...params, method: 'device' })
}

async function showCode(login: Login, params: LoginParams, display: SignInDisplay): Promise<void> {
  display.show(await login({ ...params, method: 'device', wait: false }))
}

/** Signs in on another device; undefined if the provider, or a daemon of an earlier version, gives no code. */
async function tryDevice(
  login: Login,
  params: LoginParams,
  display: SignInDisplay,
): Promise<Result<'login'> | undefined> {
  try {
    await showCode(login, params, display)
  } catch (error) {
    // The provider may offer it to other clients only. What else is wrong, the sign-in with the link says as well.
    if (hasCode(error, providerRejected.code) || hasCode(error, INVALID_PARAMS)) return undefined
    throw error
  }
  return await login({ ...params, method: 'device' })
}

/** Shows the link first: then a browser that cannot be opened does not end the sign-in. */
async function signInWithBrowser(
  login: Login,
  params: LoginParams,
  browser: boolean,
  display: SignInDisplay,
): Promise<Result<'login'>> {
  display.show(await login({ ...params, openBrowser: false, wait: false }))
  if (!browser) return await login({ ...params, openBrowser: false })
  try {
    const environment = callersDesktop(process.env)
    return await login({ ...params, environment }).catch((error: unknown) => {
      if (!hasCode(error, INVALID_PARAMS)) throw error
      return login(params)
    })
  } catch (error) {
    if (!hasCode(error, signInFailed.code) || error.data?.reason !== 'browser') throw error
    const status = lacksBrowser(process.env) ? await tryDevice(login, params, display) : undefined
    if (status) return status
    display.showNoBrowser()
    return await login({ ...params, openBrowser: false })
  }
}

function hasCode(error: unknown, code: number): error is RpcError {
  return error instanceof RpcError && error.code === code
}

/** The desktop of the user who runs this command. A browser that the user names for this command is the first to be tried. */
export function callersDesktop(env: NodeJS.ProcessEnv): DesktopEnvironment {
  const { CADZERO_AUTH_BROWSER: named = '' } = env
  return desktopVariables({ ...withoutBundle(env), ...(isAbsolute(named) && { BROWSER: named }) })
}
