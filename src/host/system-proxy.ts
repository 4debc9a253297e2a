// The proxy in the settings of Windows, macOS or GNOME. Each is asked through its own tool; the parsers take any text.
import { findProgram } from './programs.ts'
import type { Run } from './run.ts'

export interface SystemProxy {
  /** As written there: `host:port`, or a URL. */
  readonly https?: string
  readonly socks?: string
  /** The address of a script that chooses a proxy for each request. It is not run. */
  readonly pac?: string
  readonly exceptions: readonly string[]
}

export const NO_SYSTEM_PROXY: SystemProxy = { exceptions: [] }

const GSETTINGS = ['/usr/bin/gsettings', '/usr/local/bin/gsettings', '/run/current-system/sw/bin/gsettings']

/** @returns no proxy if the system has no such settings, or they cannot be read */
export async function readSystemProxy(
  run: Run,
  platform: NodeJS.Platform,
  env: NodeJS.ProcessEnv,
  find: (paths: readonly string[]) => string | undefined = findProgram,
): Promise<SystemProxy> {
  if (platform === 'win32') return await readWindows(run, `${env.SystemRoot ?? 'C:\\Windows'}\\System32\\reg.exe`)
  if (platform === 'darwin') return parseScutil((await run('/usr/sbin/scutil', ['--proxy'])).stdout)
  const gsettings = find(GSETTINGS)
  if (gsettings === undefined) return NO_SYSTEM_PROXY
  return parseGsettings((await run(gsettings, ['list-recursively', 'org.gnome.system.proxy'])).stdout)
}

const INTERNET_SETTINGS = 'Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings'
const POLICY = 'HKLM\\Software\\Policies\\Microsoft\\Windows\\CurrentVersion\\Internet Settings'

async function readWindows(run: Run, reg: string): Promise<SystemProxy> {
  // An administrator can make one setting apply to every user.
  const policy = parseRegistry((await run(reg, ['query', POLICY, '/v', 'ProxySettingsPerUser'])).stdout)
  const hive = policy.get('proxysettingsperuser') === '0x0' ? 'HKLM' : 'HKCU'
  return windowsProxy(parseRegistry((await run(reg, ['query', `${hive}\\${INTERNET_SETTINGS}`])).stdout))
}

/** The values that `reg query` lists, by their names in lower case. */
function parseRegistry(output: string): Map<string, string> {
  const lines = output.split(/\r?\n/).map((line) => /^\s+(\S+)\s+REG_\w+\s+(.*\S)\s*$/.exec(line))
  return new Map(lines.flatMap((found) => (found ? [[String(found[1]).toLowerCase(), String(found[2])]] : [])))
}

/** «Automatically detect settings» is on by default almost everywhere and mostly finds nothing: it is not looked at. */
function windowsProxy(values: ReadonlyMap<string, string>): SystemProxy {
  const exceptions = (values.get('proxyoverride') ?? '').split(/[;\s]+/).filter((entry) => entry !== '')
  const pac = values.get('autoconfigurl')
  const server = Number(values.get('proxyenable') ?? 0) === 0 ? '' : (values.get('proxyserver') ?? '')
  const parts = new Map(server.split(/[;\s]+/).map((part) => splitOnce(part, '=')))
  const https = server.includes('=') ? parts.get('https') : server
  return systemProxy({ https, socks: parts.get('socks'), pac, exceptions })
}

/** Parses the output of `reg query`. */
export function parseWindows(output: string): SystemProxy {
  return windowsProxy(parseRegistry(output))
}

/** Parses the output of `scutil --proxy`. */
export function parseScutil(output: string): SystemProxy {
  const lines = output.split('\n').map((line) => /^\s*(\w+) : (.+?)\s*$/.exec(line))
  const values = new Map(lines.flatMap((found) => (found ? [[String(found[1]), String(found[2])]] : [])))
  const enabled = (name: string) => values.get(`${name}Enable`) === '1'
  const server = (name: string) =>
    enabled(name) ? `${values.get(`${name}Proxy`) ?? ''}:${values.get(`${name}Port`) ?? ''}` : undefined
  const [, list = ''] = /ExceptionsList : <array> \{([^}]*)\}/.exec(output) ?? []
  const exceptions = [...list.matchAll(/^\s*\d+ : (.+?)\s*$/gm)].map(([, entry]) => String(entry))
  return systemProxy({
    https: server('HTTPS'),
    socks: server('SOCKS'),
    pac: enabled('ProxyAutoConfig') ? values.get('ProxyAutoConfigURLString') : undefined,
    exceptions: values.get('ExcludeSimpleHostnames') === '1' ? [...exceptions, '<local>'] : exceptions,
  })
}

/** Parses the output of `gsettings list-recursively org.gnome.system.proxy`. */
export function parseGsettings(output: string): SystemProxy {
  const lines = output.split('\n').map((line) => /^org\.gnome\.system\.proxy(?:\.(\w+))? (\S+) (.*)$/.exec(line))
  const values = new Map(lines.flatMap((found) => (found ? [[`${found[1] ?? ''} ${found[2]}`, String(found[3])]] : [])))
  const text = (name: string) => /^'(.*)'$/.exec(values.get(name) ?? '')?.[1] ?? ''
  const server = (scheme: string) => {
    const host = text(`${scheme} host`)
    return host === '' ? undefined : `${host}:${values.get(`${scheme} port`) ?? ''}`
  }
  const exceptions = [...(values.get(' ignore-hosts') ?? '').matchAll(/'([^']+)'/g)].map(([, entry]) => String(entry))
  switch (text(' mode')) {
    case 'manual':
      return systemProxy({ https: server('https') ?? server('http'), socks: server('socks'), exceptions })
    case 'auto':
      return systemProxy({ pac: text(' autoconfig-url'), exceptions })
    default:
      return NO_SYSTEM_PROXY
  }
}

type Found = { readonly [K in keyof SystemProxy]: SystemProxy[K] | undefined }

/** Leaves out what is empty. */
function systemProxy({ https, socks, pac, exceptions = [] }: Found): SystemProxy {
  return { ...(https ? { https } : {}), ...(socks ? { socks } : {}), ...(pac ? { pac } : {}), exceptions }
}

function splitOnce(text: string, separator: string): [string, string] {
  const at = text.indexOf(separator)
  return at === -1 ? ['', text] : [text.slice(0, at).toLowerCase(), text.slice(at + 1)]
}
