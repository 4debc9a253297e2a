// Makes the installer for Windows with NSIS, which is silent with /S and needs no administrator.
import { stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { runTool } from '../tools.ts'
import { certificateFrom, sign } from './executable.ts'

const SCRIPT = fileURLToPath(new URL('installer.nsi', import.meta.url))
const ICON = fileURLToPath(new URL('icon.ico', import.meta.url))

export interface WindowsFiles {
  readonly console: string
  readonly windowed: string
  readonly notices: string
  readonly version: string
  /** The time of the build, in Unix seconds. */
  readonly time: number
  /** For tests: compresses in seconds rather than minutes, to twice the size. */
  readonly isQuick?: boolean
}

/** @returns the path of the installer */
export async function makeInstaller(files: WindowsFiles, out: string): Promise<string> {
  const path = join(resolve(out), `cadzero-auth-${files.version}-win-x64-setup.exe`)
  const bytes = await Promise.all([files.console, files.windowed].map(async (file) => (await stat(file)).size))
  const values = {
    VERSION: files.version,
    SIZE: Math.ceil(bytes.reduce((sum, one) => sum + one) / 1024),
    CONSOLE: resolve(files.console),
    WINDOWED: resolve(files.windowed),
    NOTICES: resolve(files.notices),
    ICON,
    OUT: path,
    ...(files.isQuick === true ? { QUICK: 1 } : {}),
  }
  const defines = Object.entries(values).map(([name, value]) => `-D${name}=${value}`)
  runTool('makensis', ['-V2', '-WX', ...defines, SCRIPT], 'nsis', { SOURCE_DATE_EPOCH: String(files.time) })
  const certificate = certificateFrom(process.env)
  if (certificate !== undefined) await sign(path, certificate)
  return path
}
