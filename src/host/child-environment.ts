// What the programs that the daemon starts may see of an environment: its own helpers little, the user's browser most of it.
import { isAbsolute } from 'node:path'
import { type DesktopEnvironment, desktopChange } from './desktop.ts'

// What a system program needs to find the user's session. Nothing else is passed on, above all not CADZERO_AUTH_PASSPHRASE.
const ALLOWED_FOR_SYSTEM_PROGRAMS =
  /^(PATH|HOME|USER|LOGNAME|SHELL|LANG|LANGUAGE|LC_.*|TZ|TMPDIR|DISPLAY|WAYLAND_DISPLAY|XAUTHORITY|XDG_.*|DBUS_SESSION_BUS_ADDRESS|DESKTOP_SESSION|GNOME_.*|KDE_.*|BROWSER|SYSTEMROOT|WINDIR|SYSTEMDRIVE|TEMP|TMP|USERPROFILE|USERNAME|USERDOMAIN|APPDATA|LOCALAPPDATA|PROGRAMDATA|PROGRAMFILES.*|COMMONPROGRAMFILES.*|HOMEDRIVE|HOMEPATH|COMSPEC|PATHEXT|WSL_.*|WSLENV|WINE.*|__CF_USER_TEXT_ENCODING)$/i

/** The environment of a program of the system that the daemon or a command runs for itself. */
export function systemProgramEnvironment(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(env).filter(([name]) => ALLOWED_FOR_SYSTEM_PROGRAMS.test(name)))
}

const DENIED_GROUPS = {
  'our own settings and secrets, and those of Clerk': ['CADZERO_.*', 'CLERK_.*'],
  'which code a program loads': ['LD_.*', 'DYLD_.*', 'GCONV_PATH', 'LOCPATH'],
  'which code an interpreter or a shell runs': [
    'NODE_.*',
    'ELECTRON_.*',
    'PYTHON.*',
    'PERL.*',
    'RUBY.*',
    'JAVA_TOOL_OPTIONS',
    '_?JAVA_OPTIONS',
    'JDK_JAVA_OPTIONS',
    'BASH_ENV',
    'ENV',
    'SHELLOPTS',
    'BASHOPTS',
    'BASH_FUNC_.*',
  ],
  'a bundle (AppImage, snap, Electron) that the daemon was started from': [
    'APPIMAGE.*',
    'APPDIR',
    'ARGV0',
    'OWD',
    'SNAP',
    'SNAP_.*',
    'CHROME_DESKTOP',
    'GIO_MODULE_DIR',
    'GIO_EXTRA_MODULES',
    'GIO_LAUNCHED_DESKTOP_FILE.*',
    'GTK_PATH',
    'GTK_EXE_PREFIX',
    'GTK_DATA_PREFIX',
    'GTK_IM_MODULE_FILE',
    'GDK_PIXBUF_.*',
    'GSETTINGS_SCHEMA_DIR',
    'GST_PLUGIN_.*',
    'GI_TYPELIB_PATH',
    'QT_PLUGIN_PATH',
    'QT_QPA_PLATFORM_PLUGIN_PATH',
    'QML2?_IMPORT_PATH',
    'LIBGL_DRIVERS_PATH',
    'LIBVA_DRIVERS_PATH',
  ],
  'the service manager’s words to the daemon': [
    'NOTIFY_SOCKET',
    'LISTEN_.*',
    'WATCHDOG_.*',
    'INVOCATION_ID',
    'JOURNAL_STREAM',
    'MAINPID',
    'MANAGERPID',
    'SYSTEMD_EXEC_PID',
    'CREDENTIALS_DIRECTORY',
    'MEMORY_PRESSURE_.*',
  ],
  'valid once, for the program that it was given to': ['XDG_ACTIVATION_TOKEN', 'DESKTOP_STARTUP_ID'],
} as const

const DENIED_TO_BROWSER = new RegExp(`^(${Object.values(DENIED_GROUPS).flat().join('|')})$`, 'i')

/** The names of an environment that a browser must not see. */
export function deniedToBrowser(env: NodeJS.ProcessEnv): string[] {
  return Object.keys(env).filter((name) => DENIED_TO_BROWSER.test(name))
}

/**
 * The environment of the user's browser: the daemon's own without what is denied, and with the desktop that a client has
 * handed over in place of the daemon's.
 */
export function browserEnvironment(own: NodeJS.ProcessEnv, handedOver?: DesktopEnvironment): NodeJS.ProcessEnv {
  const { set, unset } = desktopChange(own, handedOver)
  const removed = new Set<string>([...deniedToBrowser(own), ...unset])
  const kept = Object.entries(withoutBundle(own)).filter(([name]) => !removed.has(name))
  return { ...Object.fromEntries(kept), ...set }
}

/** An environment without the folders of the AppImage or the snap that it belongs to: their files fit no other program. */
export function withoutBundle(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const roots = [env.APPDIR, env.SNAP, env.SNAP_USER_DATA, env.SNAP_USER_COMMON].filter(
    (root): root is string => root !== undefined && isAbsolute(root) && root !== '/',
  )
  if (roots.length === 0) return env
  const isInside = (path: string) => roots.some((root) => path === root || path.startsWith(`${root}/`))
  const cleaned = Object.entries(env).map(([name, value = '']): [string, string] => [
    name,
    roots.some((root) => value.includes(root))
      ? value
          .split(':')
          .filter((path) => !isInside(path))
          .join(':')
      : value,
  ])
  return Object.fromEntries(cleaned.filter(([name, value]) => value !== '' || env[name] === ''))
}
