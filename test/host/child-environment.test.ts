// What child processes see of the daemon's environment.
import { describe, expect, it } from 'vitest'
import {
  browserEnvironment,
  deniedToBrowser,
  systemProgramEnvironment,
  withoutBundle,
} from '../../src/host/child-environment.ts'

describe('a program of the system', () => {
  it('sees what leads to the user’s session, and nothing else', () => {
    const env = {
      PATH: '/bin',
      WAYLAND_DISPLAY: 'w',
      XDG_RUNTIME_DIR: '/run/u',
      CADZERO_AUTH_PASSPHRASE: 'x',
      CLERK_SECRET_KEY: 'y',
      https_proxy: 'http://user:password@proxy.example',
    }
    expect(Object.keys(systemProgramEnvironment(env))).toEqual(['PATH', 'WAYLAND_DISPLAY', 'XDG_RUNTIME_DIR'])
  })
})

describe('the browser', () => {
  it.each([
    'https_proxy',
    'http_proxy',
    'HTTPS_PROXY',
    'no_proxy',
    'all_proxy',
    'auto_proxy',
    'GTK_IM_MODULE',
    'QT_IM_MODULE',
    'XMODIFIERS',
    'MOZ_ENABLE_WAYLAND',
    'GDK_BACKEND',
    'QT_QPA_PLATFORM',
    'DISPLAY',
    'XDG_RUNTIME_DIR',
    'LANG',
    'BROWSER',
    'WSL_INTEROP',
    'VSCODE_IPC_HOOK_CLI',
    'SSL_CERT_FILE',
    'GTK_THEME',
  ])('sees %s of the daemon', (name) => {
    expect(browserEnvironment({ [name]: 'x' })).toEqual({ [name]: 'x' })
  })

  it.each([
    'CADZERO_AUTH_PASSPHRASE',
    'CADZERO_AUTH_HOME',
    'CADZERO_BROKER_KEY',
    'cadzero_auth_passphrase',
    'CLERK_SECRET_KEY',
    'NODE_OPTIONS',
    'NODE_EXTRA_CA_CERTS',
    'LD_PRELOAD',
    'LD_LIBRARY_PATH',
    'DYLD_INSERT_LIBRARIES',
    'ELECTRON_RUN_AS_NODE',
    'PYTHONHOME',
    'PYTHONPATH',
    'PERL5LIB',
    'GIO_MODULE_DIR',
    'GTK_PATH',
    'GDK_PIXBUF_MODULE_FILE',
    'QT_PLUGIN_PATH',
    'APPIMAGE',
    'APPDIR',
    'SNAP',
    'SNAP_NAME',
    'BASH_ENV',
    'BASH_FUNC_which%%',
    'NOTIFY_SOCKET',
    'LISTEN_FDS',
    'INVOCATION_ID',
    'XDG_ACTIVATION_TOKEN',
  ])('[D3] does not see %s of the daemon', (name) => {
    expect(browserEnvironment({ [name]: 'x', PATH: '/bin' })).toEqual({ PATH: '/bin' })
    expect(deniedToBrowser({ [name]: 'x', PATH: '/bin' })).toEqual([name])
  })

  it('sees the desktop of the client in place of the daemon’s', () => {
    const own = {
      PATH: '/bin',
      DISPLAY: ':0',
      XAUTHORITY: '/old',
      https_proxy: 'http://old.example',
      XDG_RUNTIME_DIR: '/r',
    }
    const handedOver = { WAYLAND_DISPLAY: 'wayland-0', XDG_ACTIVATION_TOKEN: 'token' }
    expect(browserEnvironment(own, handedOver)).toEqual({ PATH: '/bin', XDG_RUNTIME_DIR: '/r', ...handedOver })
  })

  it('sees the daemon’s desktop if the client has none, as over ssh', () => {
    const own = { DISPLAY: ':0', XDG_SESSION_TYPE: 'x11', LANG: 'de_DE.UTF-8' }
    expect(browserEnvironment(own, { XDG_SESSION_TYPE: 'tty', LANG: 'C' })).toEqual(own)
    expect(browserEnvironment(own, {})).toEqual(own)
    expect(browserEnvironment({ LANG: 'C' }, { LANG: 'ja_JP.UTF-8' })).toEqual({ LANG: 'ja_JP.UTF-8' })
  })

  it('is opened on the daemon’s desktop if the client names a browser and has no desktop', () => {
    const own = { DISPLAY: ':0', BROWSER: 'old' }
    expect(browserEnvironment(own, { BROWSER: '/usr/bin/firefox' })).toEqual({
      DISPLAY: ':0',
      BROWSER: '/usr/bin/firefox',
    })
  })

  it('sees nothing else that a client hands over', () => {
    const handedOver = { DISPLAY: ':1', LD_PRELOAD: '/tmp/x.so', PATH: '/tmp', LANG: 'x'.repeat(5000) }
    expect(browserEnvironment({ PATH: '/bin' }, handedOver)).toEqual({ PATH: '/bin', DISPLAY: ':1' })
  })
})

describe('the folders of a bundle', () => {
  it('are removed from every list of paths, and a variable with no other is removed', () => {
    const env = {
      APPDIR: '/tmp/.mount_x',
      PATH: '/tmp/.mount_x/usr/bin:/usr/bin:/bin',
      XDG_DATA_DIRS: '/tmp/.mount_x/usr/share:/tmp/.mount_xy:/usr/share',
      FONTCONFIG_FILE: '/tmp/.mount_x/etc/fonts.conf',
      LANG: 'C',
      EMPTY: '',
    }
    expect(withoutBundle(env)).toEqual({
      PATH: '/usr/bin:/bin',
      XDG_DATA_DIRS: '/tmp/.mount_xy:/usr/share',
      LANG: 'C',
      EMPTY: '',
    })
  })

  it('are those of a snap as well', () => {
    const env = {
      SNAP: '/snap/code/1',
      SNAP_USER_DATA: '/home/u/snap/code/1',
      XDG_DATA_HOME: '/home/u/snap/code/1/.local/share',
      HOME: '/home/u',
    }
    expect(browserEnvironment(env)).toEqual({ HOME: '/home/u' })
  })

  it('are none if the daemon is in no bundle, or the variable is no folder', () => {
    for (const env of [{ PATH: '/bin' }, { SNAP: '/', PATH: '/bin' }, { APPDIR: 'x', PATH: 'x:/bin' }]) {
      expect(withoutBundle(env)).toBe(env)
    }
  })
})
