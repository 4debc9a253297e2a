// The house rules: which room may use what, and why. A wrong import fails here before it becomes a habit.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const SRC = fileURLToPath(new URL('../src', import.meta.url))

/** What the files of a room may import from other rooms. The daemon brings the rooms together. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  host: [],
  store: ['host'],
  rpc: ['host'],
  clerk: ['host', 'store/session.ts'],
  broker: ['host'],
  // What starts the daemon at log-on: one file a system. It knows nothing of what it starts.
  service: ['host'],
  daemon: ['host', 'store', 'rpc', 'clerk', 'version.ts'],
  cli: [
    'host',
    'rpc',
    'version.ts',
    // Starting the daemon, and what the doctor looks at without it. The session is reached by RPC alone.
    'daemon/config.ts',
    'daemon/daemon.ts',
    'daemon/errors.ts',
    'daemon/folders.ts',
    'daemon/instance.ts',
    'daemon/leftovers.ts',
    'daemon/process.ts',
    'clerk/errors.ts',
    'clerk/metadata.ts',
    'service',
    // The developer's own commands, which run without a daemon.
    'broker',
    'store/errors.ts',
    'store/keyring.ts',
  ],
  executable: ['run-script.ts', 'daemon/folders.ts'],
}

/** Packages that one room alone may import, and the reason. */
const PACKAGES: Readonly<Record<string, { readonly rooms: readonly string[]; readonly why: string }>> = {
  ws: { rooms: ['rpc'], why: 'the socket is an RPC matter' },
  'json-rpc-2.0': { rooms: ['rpc'], why: 'so is the protocol on it' },
  '@valibot/to-json-schema': { rooms: ['rpc'], why: 'the OpenRPC document is made from the contract' },
  '@clerk/backend': { rooms: ['broker'], why: 'what needs the secret key is the server’s' },
  'openid-client': { rooms: ['clerk'], why: 'OAuth is spoken to Clerk alone' },
  jose: {
    rooms: ['store', 'clerk', 'broker'],
    why: 'sessions and the broker’s tokens are sealed, and Clerk’s tokens checked',
  },
  '@napi-rs/keyring': { rooms: ['store'], why: 'the key never leaves the store' },
  pino: { rooms: ['daemon', 'broker'], why: 'the log has a closed list of fields' },
  'rotating-file-stream': { rooms: ['daemon'], why: 'the log has a closed list of fields' },
  'env-paths': { rooms: ['daemon'], why: 'folders are located in one place' },
  commander: { rooms: ['cli'], why: 'only the command line reads arguments' },
  valibot: { rooms: ['store', 'rpc', 'clerk', 'daemon'], why: 'what crosses a border is parsed there' },
}

interface SourceFile {
  readonly path: string
  readonly text: string
  readonly imports: readonly string[]
}

const files: SourceFile[] = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => {
    const text = readFileSync(join(SRC, path), 'utf8')
    const imports = [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].map(([, name]) => String(name))
    return { path: path.split(sep).join('/'), text, imports }
  })

const roomOf = (path: string) => (path.includes('/') ? String(path.split('/')[0]) : '')

/** The files that break a rule, each with the word that breaks it. */
function violations(rule: (file: SourceFile) => readonly string[]): string[] {
  return files.flatMap((file) => rule(file).map((word) => `${file.path}: ${word}`))
}

const matches = (text: string, pattern: RegExp) => [...text.matchAll(pattern)].map(([word]) => word)
/** `@clerk/backend` for `@clerk/backend/errors`. */
const nameOf = (path: string) =>
  path
    .split('/')
    .slice(0, path.startsWith('@') ? 2 : 1)
    .join('/')
const packagesOf = ({ imports }: SourceFile) => imports.filter((name) => !/^\.|^node:/.test(name)).map(nameOf)

describe('the house', () => {
  it('has files at all', () => expect(files.length).toBeGreaterThan(40))

  it('lets a room import only what it may', () => {
    const strangers = violations(({ path, imports }) => {
      const room = roomOf(path)
      if (room === '') return []
      const targets = imports
        .filter((name) => name.startsWith('.'))
        .map((name) =>
          relative(SRC, join(SRC, path, '..', name))
            .split(sep)
            .join('/'),
        )
      return targets.filter(
        (target) =>
          roomOf(target) !== room && !ROOMS[room]?.some((one) => target === one || target.startsWith(`${one}/`)),
      )
    })
    expect(strangers).toEqual([])
  })

  it('lets a package in only where it is the room’s business', () => {
    expect(
      violations((file) => packagesOf(file).filter((name) => !PACKAGES[name]?.rooms.includes(roomOf(file.path)))),
    ).toEqual([])
  })

  it('has no rule for a package that nobody uses', () => {
    const used = new Set(files.flatMap(packagesOf))
    expect(Object.keys(PACKAGES).filter((name) => !used.has(name))).toEqual([])
  })

  it('needs no install script in any package of the program, nor in another but to be faster', () => {
    const { packages } = JSON.parse(readFileSync(join(SRC, '..', 'package-lock.json'), 'utf8')) as {
      packages: Record<string, { hasInstallScript?: boolean; dev?: boolean }>
    }
    const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript)
    expect(scripted.filter(([, { dev }]) => !dev).map(([name]) => name)).toEqual([])
    const names = scripted.map(([name]) => name.replace(/.*node_modules\//, ''))
    const { allowScripts } = JSON.parse(readFileSync(join(SRC, '..', 'package.json'), 'utf8')) as {
      allowScripts: Record<string, boolean>
    }
    for (const name of names) expect(name === 'fsevents' || allowScripts[name] === false, name).toBe(true)
  })

  it('has a first line in every file that says its job', () => {
    const jobless = violations(({ text }) => {
      const [first = ''] = text.split('\n').filter((line) => !line.startsWith('#!'))
      return /^\/\/ \S.{15,}/.test(first) ? [] : [first]
    })
    expect(jobless).toEqual([])
  })

  it('touches time, chance and the network by their doors', () => {
    const pattern =
      /\bDate\.now\(|\bnew Date\(\)|performance\.now\(|Math\.random\(|randomBytes\(|randomUUID\(|setTimeout\(|globalThis\.fetch/g
    expect(violations(({ path, text }) => (path.startsWith('host/') ? [] : matches(text, pattern)))).toEqual([])
  })

  it('leaves printing, arguments and exit codes to the command line', () => {
    const pattern = /console\.|process\.(?:stdout|stderr|exit|argv)\b/g
    const outside = ({ path }: SourceFile) => !path.startsWith('cli/') && path !== 'cadzero-auth.ts'
    expect(violations((file) => (outside(file) ? matches(file.text, pattern) : []))).toEqual([])
  })
})
