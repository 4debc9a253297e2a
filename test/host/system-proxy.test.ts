// The proxy in the settings of Windows, macOS and GNOME, from outputs of their tools.
import { describe, expect, it } from 'vitest'
import type { Run } from '../../src/host/run.ts'
import { parseGsettings, parseScutil, parseWindows, readSystemProxy } from '../../src/host/system-proxy.ts'

const windows = (lines: string) =>
  `
HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings
    User Agent    REG_SZ    Mozilla/4.0 (compatible; MSIE 8.0; Win32)
    IE5_UA_Backup_Flag    REG_SZ    5.0
    ZonesSecurityUpgrade    REG_BINARY    F2ECE6A6C5F5D901
    EnableNegotiate    REG_DWORD    0x1
${lines}

HKEY_CURRENT_USER\\Software\\Microsoft\\Windows\\CurrentVersion\\Internet Settings\\5.0
`.replaceAll('\n', '\r\n')

describe('Windows', () => {
  it('has one proxy for every protocol', () => {
    const output = windows(`    ProxyEnable    REG_DWORD    0x1
    ProxyServer    REG_SZ    proxy.corp.example:8080
    ProxyOverride    REG_SZ    *.corp.example;192.168.*;<local>`)
    expect(parseWindows(output)).toEqual({
      https: 'proxy.corp.example:8080',
      exceptions: ['*.corp.example', '192.168.*', '<local>'],
    })
  })

  it('has a proxy for each protocol', () => {
    const output = windows(`    ProxyEnable    REG_DWORD    0x1
    ProxyServer    REG_SZ    http=one.example:80;https=two.example:8443;socks=three.example:1080`)
    expect(parseWindows(output)).toEqual({ https: 'two.example:8443', socks: 'three.example:1080', exceptions: [] })
  })

  it('has a proxy for http alone, which is no proxy for https', () => {
    const output = windows(`    ProxyEnable    REG_DWORD    0x1
    ProxyServer    REG_SZ    http=one.example:80`)
    expect(parseWindows(output)).toEqual({ exceptions: [] })
  })

  it('has a proxy that is switched off', () => {
    const output = windows(`    ProxyEnable    REG_DWORD    0x0
    ProxyServer    REG_SZ    proxy.corp.example:8080`)
    expect(parseWindows(output)).toEqual({ exceptions: [] })
  })

  it('has a script', () => {
    const output = windows(`    ProxyEnable    REG_DWORD    0x0
    AutoConfigURL    REG_SZ    http://wpad.corp.example/proxy.pac`)
    expect(parseWindows(output)).toEqual({ pac: 'http://wpad.corp.example/proxy.pac', exceptions: [] })
  })
})

const SCUTIL_NONE = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  FTPPassive : 1
}
`

const SCUTIL = `<dictionary> {
  ExceptionsList : <array> {
    0 : *.local
    1 : 169.254/16
  }
  ExcludeSimpleHostnames : 1
  FTPPassive : 1
  HTTPEnable : 1
  HTTPPort : 3128
  HTTPProxy : other.corp.example
  HTTPSEnable : 1
  HTTPSPort : 3129
  HTTPSProxy : proxy.corp.example
  HTTPSUser : person
  ProxyAutoConfigEnable : 0
  ProxyAutoConfigURLString : http://wpad.corp.example/proxy.pac
  SOCKSEnable : 1
  SOCKSPort : 1080
  SOCKSProxy : socks.corp.example
}
`

describe('macOS', () => {
  it('has no proxy', () => {
    expect(parseScutil(SCUTIL_NONE)).toEqual({ exceptions: ['*.local', '169.254/16'] })
  })

  it('has a proxy for https, and exceptions', () => {
    expect(parseScutil(SCUTIL)).toEqual({
      https: 'proxy.corp.example:3129',
      socks: 'socks.corp.example:1080',
      exceptions: ['*.local', '169.254/16', '<local>'],
    })
  })

  it('has a script', () => {
    const output = SCUTIL.replace('ProxyAutoConfigEnable : 0', 'ProxyAutoConfigEnable : 1').replace(
      'HTTPSEnable : 1',
      '',
    )
    expect(parseScutil(output)).toMatchObject({ pac: 'http://wpad.corp.example/proxy.pac' })
    expect(parseScutil(output)).not.toHaveProperty('https')
  })
})

const gnome = (
  mode: string,
  https = '',
  httpsPort = 0,
) => `org.gnome.system.proxy autoconfig-url 'http://wpad/proxy.pac'
org.gnome.system.proxy ignore-hosts ['localhost', '127.0.0.0/8', '::1', '*.corp.example']
org.gnome.system.proxy mode '${mode}'
org.gnome.system.proxy use-same-proxy true
org.gnome.system.proxy.ftp host ''
org.gnome.system.proxy.ftp port 0
org.gnome.system.proxy.http authentication-password ''
org.gnome.system.proxy.http authentication-user ''
org.gnome.system.proxy.http enabled false
org.gnome.system.proxy.http host 'http.corp.example'
org.gnome.system.proxy.http port 8080
org.gnome.system.proxy.http use-authentication false
org.gnome.system.proxy.https host '${https}'
org.gnome.system.proxy.https port ${httpsPort}
org.gnome.system.proxy.socks host ''
org.gnome.system.proxy.socks port 0
`

const IGNORED = ['localhost', '127.0.0.0/8', '::1', '*.corp.example']

describe('GNOME', () => {
  it('has no proxy', () => {
    expect(parseGsettings(gnome('none', 'https.corp.example', 1))).toEqual({ exceptions: [] })
  })

  it('has a proxy for https', () => {
    expect(parseGsettings(gnome('manual', 'https.corp.example', 3128))).toEqual({
      https: 'https.corp.example:3128',
      exceptions: IGNORED,
    })
  })

  it('has one proxy for all protocols', () => {
    expect(parseGsettings(gnome('manual'))).toEqual({ https: 'http.corp.example:8080', exceptions: IGNORED })
  })

  it('has a script', () => {
    expect(parseGsettings(gnome('auto'))).toEqual({ pac: 'http://wpad/proxy.pac', exceptions: IGNORED })
  })
})

describe('the settings of the system', () => {
  const ran = (outputs: Readonly<Record<string, string>>) => {
    const commands: string[] = []
    const run: Run = async (program, args) => {
      commands.push([program, ...args].join(' '))
      const found = Object.entries(outputs).find(([part]) => commands.at(-1)?.includes(part))
      return { status: found ? 0 : 1, stdout: found?.[1] ?? '', stderr: '' }
    }
    return { run, commands }
  }
  const SERVER = windows('    ProxyEnable    REG_DWORD    0x1\n    ProxyServer    REG_SZ    proxy.example:80')

  it('are the user’s on Windows', async () => {
    const { run, commands } = ran({ HKCU: SERVER })
    const found = await readSystemProxy(run, 'win32', { SystemRoot: 'D:\\Windows' })
    expect(found).toEqual({ https: 'proxy.example:80', exceptions: [] })
    expect(commands.every((command) => command.startsWith('D:\\Windows\\System32\\reg.exe query HK'))).toBe(true)
  })

  it('are the computer’s on Windows if the policy says so', async () => {
    const policy = '    ProxySettingsPerUser    REG_DWORD    0x0\r\n'
    const { run } = ran({ ProxySettingsPerUser: policy, 'HKLM\\Software\\Microsoft': SERVER })
    expect(await readSystemProxy(run, 'win32', {})).toEqual({ https: 'proxy.example:80', exceptions: [] })
  })

  it('are read with scutil on macOS', async () => {
    const { run, commands } = ran({ scutil: SCUTIL })
    expect(await readSystemProxy(run, 'darwin', {})).toMatchObject({ https: 'proxy.corp.example:3129' })
    expect(commands).toEqual(['/usr/sbin/scutil --proxy'])
  })

  it('are read with gsettings on Linux, if it is there', async () => {
    const { run } = ran({ gsettings: gnome('manual') })
    expect(await readSystemProxy(run, 'linux', {}, ([path]) => path)).toMatchObject({ https: 'http.corp.example:8080' })
    expect(await readSystemProxy(run, 'linux', {}, () => undefined)).toEqual({ exceptions: [] })
  })

  it.each(['win32', 'darwin', 'linux'] as const)('are none on %s if the tool fails', async (platform) => {
    const { run } = ran({})
    expect(await readSystemProxy(run, platform, {}, ([path]) => path)).toEqual({ exceptions: [] })
  })
})
