// The user's desktop variables: the only part of a client's environment that it may hand over, for the browser of one sign-in.

/** A closed list: a client cannot set what decides which code a program loads, or what it trusts. */
export const DESKTOP_VARIABLES = [
  'DISPLAY',
  'WAYLAND_DISPLAY',
  'XAUTHORITY',
  'DBUS_SESSION_BUS_ADDRESS',
  'XDG_RUNTIME_DIR',
  'XDG_CURRENT_DESKTOP',
  'XDG_SESSION_TYPE',
  'XDG_SESSION_DESKTOP',
  'XDG_DATA_DIRS',
  'XDG_ACTIVATION_TOKEN',
  'DESKTOP_SESSION',
  'BROWSER',
  'VSCODE_IPC_HOOK_CLI',
  'GTK_IM_MODULE',
  'QT_IM_MODULE',
  'XMODIFIERS',
  'MOZ_ENABLE_WAYLAND',
  'GDK_BACKEND',
  'LANG',
  'LC_ALL',
  'WSL_DISTRO_NAME',
  'WSL_INTEROP',
  'http_proxy',
  'https_proxy',
  'ftp_proxy',
  'all_proxy',
  'no_proxy',
  'auto_proxy',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'FTP_PROXY',
  'ALL_PROXY',
  'NO_PROXY',
] as const

export type DesktopVariable = (typeof DESKTOP_VARIABLES)[number]
export type DesktopEnvironment = { readonly [Name in DesktopVariable]?: string | undefined }

type SetVariables = { readonly [Name in DesktopVariable]?: string }

export const LONGEST_DESKTOP_VALUE = 4096 // characters

// They belong to the user rather than to one desktop, so that the daemon's own serve a client that lacks them.
const SHARED: readonly DesktopVariable[] = [
  'DBUS_SESSION_BUS_ADDRESS',
  'XDG_RUNTIME_DIR',
  'XDG_DATA_DIRS',
  'LANG',
  'LC_ALL',
]

/** The desktop variables of an environment; without those that are empty or too long to be handed over. */
export function desktopVariables(env: NodeJS.ProcessEnv | DesktopEnvironment): SetVariables {
  const values = DESKTOP_VARIABLES.map((name) => [name, env[name] ?? ''] as const)
  return Object.fromEntries(values.filter(([, value]) => value !== '' && value.length <= LONGEST_DESKTOP_VALUE))
}

/** Whether windows can be shown. */
export function hasDisplay(env: NodeJS.ProcessEnv | DesktopEnvironment): boolean {
  return Boolean(env.DISPLAY || env.WAYLAND_DISPLAY)
}

/** Whether a page can be shown: in a window, or by a program of another system (Windows around WSL, a remote editor). */
export function leadsToBrowser(env: NodeJS.ProcessEnv | DesktopEnvironment): boolean {
  return hasDisplay(env) || Boolean(env.BROWSER || env.WSL_DISTRO_NAME || env.WSL_INTEROP)
}

/** What a handed-over environment changes in one of the daemon: variables to set, and variables to remove. */
export interface DesktopChange {
  readonly set: SetVariables
  readonly unset: readonly DesktopVariable[]
}

/**
 * The client's desktop replaces the daemon's: a mixture of two would lead to neither. A client without a desktop (over ssh,
 * from cron) changes nothing if the daemon has one. One that names only a browser has it opened on the daemon's desktop.
 */
export function desktopChange(own: NodeJS.ProcessEnv, handedOver: DesktopEnvironment = {}): DesktopChange {
  const set = desktopVariables(handedOver)
  if (!leadsToBrowser(set)) return { set: leadsToBrowser(own) ? {} : set, unset: [] }
  if (!hasDisplay(set) && set.BROWSER !== undefined) return { set, unset: [] }
  return { set, unset: DESKTOP_VARIABLES.filter((name) => set[name] === undefined && !SHARED.includes(name)) }
}
