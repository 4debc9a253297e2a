// Where the user of a command sits: in front of this computer, or in front of another one.
import { hasDisplay } from '../host/desktop.ts'

/** Whether the user works over ssh, and the connection forwards neither a display nor a browser. */
export function isOverSsh(env: NodeJS.ProcessEnv): boolean {
  return Boolean(env.SSH_CONNECTION || env.SSH_CLIENT || env.SSH_TTY) && lacksBrowser(env)
}

/**
 * Whether a browser that could not be opened means that this computer has none for the user, as a container, a server or WSL
 * without its bridge to Windows. A browser that the user has named, or a display, means that the link can be opened here.
 */
export function lacksBrowser(env: NodeJS.ProcessEnv): boolean {
  const isWsl = Boolean(env.WSL_DISTRO_NAME || env.WSL_INTEROP) // its display often has no browser
  return (isWsl || !hasDisplay(env)) && !env.BROWSER && !env.CADZERO_AUTH_BROWSER
}
