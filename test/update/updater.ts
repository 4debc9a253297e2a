// An installation of 1.0.0 in a folder of its own, and a server with the release 1.1.0.
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import type { ProgramName } from '../../src/update/manifest.ts'
import { ProgramFiles } from '../../src/update/program-files.ts'
import { findUpdate, installUpdate, type Updater } from '../../src/update/update.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { DAY, type Fields, manifestValue, releaseFile, SEQUENCE, signed, testPublicKey } from './releases.ts'

export const OLD = Buffer.from('the old program')
export const NEW = Buffer.alloc(200_000, 'the new program ')

export interface Options {
  readonly windows?: boolean
  readonly manifest?: Fields
  /** What the server has instead of the right bytes. */
  readonly served?: Readonly<Record<string, Buffer>>
  readonly files?: FileSystem
  /** The version that the new program prints. */
  readonly runsAs?: string | undefined
  /** The daemon of this version does not get ready. */
  readonly brokenDaemon?: boolean
  readonly now?: number
  readonly home?: string
}

/** A program of 1.0.0 in a folder of its own, and a server with 1.1.0. */
export async function newUpdater(options: Options = {}) {
  const { windows = false, manifest = {}, served = {}, files = systemFiles, brokenDaemon = false } = options
  const home = options.home ?? (await temporaryFolder())
  const folder = join(home, 'bin')
  const names: ProgramName[] = windows ? ['cadzero-authd.exe', 'cadzero-auth.exe'] : ['cadzero-auth']
  if (options.home === undefined) {
    await mkdir(folder)
    for (const name of names) await writeFile(join(folder, name), OLD, { mode: 0o755 })
  }
  const target = windows ? 'win-x64' : 'linux-x64'
  const released = names.map((name) => releaseFile(target, name, NEW))
  const { bytes, signature } = signed(manifestValue({ files: released.map(({ file }) => file), ...manifest }))
  const content: Record<string, Buffer> = {
    'update.json': bytes,
    'update.json.sig': Buffer.from(signature),
    ...Object.fromEntries(released.map(({ file, bytes: gzip }) => [file.name, gzip])),
    ...served,
  }
  const requests: string[] = []
  const takenOver: (string | undefined)[] = []
  const [first, ...rest] = names.map((name) => ({ path: join(folder, name), name }))
  const updater: Updater = {
    files,
    clock: new TestClock(options.now ?? SEQUENCE + DAY),
    download: async (url, { maxBytes, onChunk }) => {
      requests.push(url.pathname)
      const whole = content[url.pathname.slice(1)] ?? Buffer.alloc(0)
      for (let at = 0; at < whole.length; at += 100_000) await onChunk(whole.subarray(at, at + 100_000))
      if (whole.length > maxBytes) throw new Error('larger than allowed')
    },
    url: new URL('https://releases.example/update.json'),
    publicKey: testPublicKey,
    program: { version: '1.0.0', builtAt: SEQUENCE - DAY, target, names, system: undefined },
    seenFile: join(home, 'data', 'update.json'),
    programs: new ProgramFiles(files, [first as never, ...rest], windows ? 'win32' : 'linux'),
    versionOf: async (path) => {
      if ((await readFile(path)).equals(OLD)) return '1.0.0'
      return 'runsAs' in options ? options.runsAs : '1.1.0'
    },
    takeOver: async (version) => {
      takenOver.push(version)
      if (brokenDaemon && version === '1.1.0') throw new Error('it does not respond')
    },
  }
  const contents = async () =>
    Promise.all(names.map(async (name) => ((await readFile(join(folder, name))).equals(NEW) ? 'new' : 'old')))
  return { updater, folder, home, names, requests, takenOver, contents }
}

/** Only the programs are left: no `.previous`, no folder of new files, no lock. */
export async function expectTidy(folder: string, names: readonly string[]): Promise<void> {
  expect((await readdir(folder)).sort()).toEqual([...names].sort())
}

/** Installs the release, without a look at what an earlier update has left. */
export async function installAll(updater: Updater): Promise<void> {
  const found = await findUpdate({ ...updater, files: systemFiles })
  if (found.kind === 'available') await installUpdate(updater, found.version, found.programs)
}
