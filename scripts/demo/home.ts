// The home folder of the demo: a configuration, the command, and a file of settings for other terminals.
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Services } from './services.ts'

const EMBED = fileURLToPath(new URL('../../embed/python', import.meta.url))
const isWindows = process.platform === 'win32'

export interface DemoHome {
  readonly folder: string
  readonly discoveryFile: string
  /** The line that makes a shell use this folder. */
  readonly line: string
  remove(): Promise<void>
}

/**
 * @param program the built cadzero-auth
 * @param browser the program that opens links; undefined for the user's own
 */
export async function createHome(services: Services, program: string, browser: string | undefined): Promise<DemoHome> {
  const folder = await mkdtemp(join(tmpdir(), 'cadzero-auth-demo-'))
  await mkdir(join(folder, 'config'), { mode: 0o700 })
  // The demo does not touch the real keyring of its user.
  const config = { keyProtection: 'keyfile', profiles: { production: services.profile } }
  await writeFile(join(folder, 'config', 'config.json'), `${JSON.stringify(config, null, 2)}\n`)
  const bin = join(folder, 'bin')
  await mkdir(bin)
  await writeCommand(bin, program)
  const settings: Record<string, string> = {
    CADZERO_AUTH_HOME: folder,
    API_URL: services.apiUrl,
    PYTHONPATH: EMBED,
    ...services.brokerEnv,
    ...(browser === undefined ? {} : { CADZERO_AUTH_BROWSER: browser }),
  }
  const file = join(folder, isWindows ? 'env.ps1' : 'env')
  await writeFile(file, isWindows ? powershellSettings(settings, bin) : shellSettings(settings, bin))
  return {
    folder,
    discoveryFile: join(folder, 'data', 'endpoint.json'),
    line: `. ${isWindows ? powershellQuote(file) : quote(file)}`,
    remove: () => rm(folder, { recursive: true, force: true, maxRetries: 5 }),
  }
}

async function writeCommand(bin: string, program: string): Promise<void> {
  if (isWindows) {
    return await writeFile(join(bin, 'cadzero-auth.cmd'), `@"${process.execPath}" "${program}" %*\r\n`)
  }
  const command = join(bin, 'cadzero-auth')
  await writeFile(command, `#!/bin/sh\nexec ${quote(process.execPath)} ${quote(program)} "$@"\n`)
  await chmod(command, 0o755)
}

function shellSettings(settings: Readonly<Record<string, string>>, bin: string): string {
  const lines = Object.entries(settings).map(([name, value]) => `export ${name}=${quote(value)}\n`)
  return `${lines.join('')}export PATH=${quote(bin)}${delimiter}"$PATH"\n`
}

function powershellSettings(settings: Readonly<Record<string, string>>, bin: string): string {
  const lines = Object.entries(settings).map(([name, value]) => `$env:${name} = ${powershellQuote(value)}\r\n`)
  return `${lines.join('')}$env:PATH = ${powershellQuote(bin + delimiter)} + $env:PATH\r\n`
}

const quote = (text: string) => `'${text.replaceAll("'", "'\\''")}'`
const powershellQuote = (text: string) => `'${text.replaceAll("'", "''")}'`
