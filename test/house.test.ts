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
    'daemon/process.ts',
    'clerk/errors.ts',
    'clerk/metadata.ts',
    'store/errors.ts',
    'store/keyring.ts',
  ],
}

/** Packages that one room alone may import, and the reason. */
const PACKAGES: Readonly<Record<string, { readonly rooms: readonly string[]; readonly why: string }>> = {
  ws: { rooms: ['rpc'], why: 'the socket is an RPC matter' },
  'json-rpc-2.0': { rooms: ['rpc'], why: 'so is the protocol on it' },
  '@valibot/to-json-schema': { rooms: ['rpc'], why: 'the OpenRPC document is made from the contract' },
  'openid-client': { rooms: ['clerk'], why: 'OAuth is spoken to Clerk alone' },
  jose: { rooms: ['store'], why: 'sessions are sealed in one place' },
  '@napi-rs/keyring': { rooms: ['store'], why: 'the key never leaves the store' },
  pino: { rooms: ['daemon'], why: 'the log has a closed list of fields' },
  'rotating-file-stream': { rooms: ['daemon'], why: 'the log has a closed list of fields' },
  'env-paths': { rooms: ['daemon'], why: 'folders are located in one place' },
  commander: { rooms: ['cli'], why: 'only the command line reads arguments' },
  valibot: { rooms: ['store', 'rpc', 'daemon'], why: 'what crosses a border is parsed there' },
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

describe('the house', () => {
  it.each(files.filter(({ path }) => roomOf(path) !== ''))(
    '$path imports only what its room may',
    ({ path, imports }) => {
      const room = roomOf(path)
      for (const name of imports.filter((name) => name.startsWith('.'))) {
        const target = relative(SRC, join(SRC, path, '..', name))
          .split(sep)
          .join('/')
        const allowed =
          roomOf(target) === room || ROOMS[room]?.some((one) => target === one || target.startsWith(`${one}/`))
        expect(allowed, `${room} must not import ${target}`).toBe(true)
      }
    },
  )

  it.each(files)('$path imports a package only where that is the room’s business', ({ path, imports }) => {
    for (const name of imports.filter((name) => !name.startsWith('.') && !name.startsWith('node:'))) {
      const rule = PACKAGES[name]
      expect(rule, `${name} has no rule yet: say which room may use it, and why`).toBeDefined()
      expect(rule?.rooms, `${name}: ${rule?.why}`).toContain(roomOf(path))
    }
  })

  it.each(files)('$path says its job in its first line', ({ text }) => {
    const lines = text.split('\n').filter((line) => !line.startsWith('#!'))
    expect(lines[0]).toMatch(/^\/\/ \S.{15,}[.:]$|^\/\/ \S.*\.$/)
  })

  it.each(files.filter(({ path }) => !path.startsWith('host/')))(
    '$path touches time, chance and the network by their doors',
    ({ text }) => {
      expect(text).not.toMatch(
        /\bDate\.now\(|\bnew Date\(\)|performance\.now\(|Math\.random\(|randomBytes\(|randomUUID\(|setTimeout\(/,
      )
      expect(text).not.toMatch(/(?<![.\w])fetch\(/)
    },
  )

  it.each(files.filter(({ path }) => !path.startsWith('cli/')))(
    '$path leaves printing and exit codes to the command line',
    ({ text }) => {
      expect(text).not.toMatch(/console\.|process\.(?:stdout|stderr|exit|argv)/)
    },
  )
})
