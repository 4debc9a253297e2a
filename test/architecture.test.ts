// The import rules of src/: which room may use which, which package belongs to which room, and why.
// Biome holds the rest: import cycles, time, chance, the network, printing and the environment (biome.json).
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

// By its address: on Windows, Vitest 4.1 does not find it by its name.
const { parseAst } = (await import(import.meta.resolve('vitest/node'))) as typeof import('vitest/node')

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SRC = join(ROOT, 'src')

type Reasons = Readonly<Record<string, string>>

/** Per room: a room or a file that it may import, and the reason. A file of the same room is always allowed. */
const ROOMS: Readonly<Record<string, Reasons>> = {
  host: {},
  log: { host: 'the log is a file in a private folder, and tries again after a while' },
  config: { host: 'config.json is a file, and its folder depends on the platform' },
  store: { host: 'a session is a private file' },
  rpc: { host: 'the discovery file, the clock of the handshake, randomness' },
  clerk: {
    host: 'requests go through the one Fetch',
    'store/session.ts': 'a sign-in or a refresh results in a Session',
  },
  callback: { host: 'the clock, and the owner of a socket' },
  session: {
    host: 'the clock and randomness',
    log: 'refreshes, sign-ins and sign-outs are logged',
    store: 'a session is saved before it is used',
    clerk: 'sends the requests of a sign-in, a refresh and a sign-out',
    callback: 'a sign-in listens for the browser',
    'rpc/contract.ts': 'results have the types of the contract',
  },
  daemon: {
    host: 'the composition root makes the real host',
    log: 'the composition root opens the log',
    config: 'the composition root reads the configuration',
    store: 'the composition root opens the stores',
    rpc: 'the composition root starts the server',
    clerk: 'the composition root chooses the identity provider',
    callback: 'the composition root chooses the callback address',
    session: 'the composition root makes the profiles',
  },
  update: { host: 'a release is downloaded, and a program is a file' },
  autostart: { host: 'a unit is a file, and a service manager is a program' },
  cli: {
    host: 'the composition root of a command makes the real host',
    rpc: 'a command speaks to a running daemon by RPC',
    config: 'a command shows the configuration and finds the folders',
    autostart: 'a command installs and removes the unit',
    'daemon/diagnose.ts': 'the doctor compares what it sees of the network with what the daemon sees',
    'daemon/process.ts': 'one command runs the daemon',
    'daemon/single-instance.ts': 'one command stops the running daemon, and explains a daemon that does not respond',
    'daemon/uninstall.ts': 'one command uninstalls the daemon',
    'broker/process.ts': 'one command runs the broker',
    'broker/clerk-instance.ts': 'the doctor checks a Clerk instance with its secret key',
    'clerk/inspect.ts': 'the doctor checks the metadata of the provider',
    'clerk/server-time.ts': 'the doctor and the token check use one bound for the clock',
    'store/inspect.ts': 'the doctor checks the keyring, and an update whether the next daemon reads the key',
    'store/proxy-password.ts': 'one command saves the password of the proxy, and the doctor goes through that proxy',
    update: 'one command updates the program',
    'store/errors.ts': 'commands say why the keyring does not take a password, or give the key',
  },
  broker: { host: 'the clock and its deadlines' },
  bootstrap: {
    cli: 'the program starts with a command line',
    'config/paths.ts': 'the single executable unpacks its addon into the data folder',
    'host/process-id.ts': 'it keeps what another process is still writing there',
  },
}

/** Files outside src/ that a file of src/ may import. */
const OUTSIDE: Reasons = { '../package.json': 'the version is said once' }

interface PackageRule {
  readonly rooms: readonly string[]
  readonly why: string
}

/** Per package: the rooms that may import it, and the reason. */
const PACKAGES: Readonly<Record<string, PackageRule>> = {
  ws: { rooms: ['rpc'], why: 'only RPC has a WebSocket' },
  'json-rpc-2.0': { rooms: ['rpc'], why: 'only RPC speaks JSON-RPC' },
  '@valibot/to-json-schema': { rooms: ['rpc', 'broker'], why: 'OpenRPC and OpenAPI are generated from the schemas' },
  '@clerk/backend': { rooms: ['broker'], why: 'it needs the secret key, which only the broker has' },
  'openid-client': { rooms: ['clerk'], why: 'only Clerk is spoken to by OAuth' },
  jose: { rooms: ['store', 'clerk', 'broker'], why: 'sealed sessions, Clerk’s tokens, the broker’s refresh token' },
  'rate-limiter-flexible': { rooms: ['broker'], why: 'only the broker serves many users' },
  ioredis: { rooms: ['broker'], why: 'only the copies of the broker share something' },
  cockatiel: { rooms: ['broker'], why: 'only the broker sends many requests to Clerk' },
  'prom-client': { rooms: ['broker'], why: 'only the broker is watched by Prometheus' },
  '@napi-rs/keyring': { rooms: ['store'], why: 'the key of the sessions does not leave the store' },
  pino: { rooms: ['log', 'broker'], why: 'a log has a closed list of fields' },
  uqr: { rooms: ['cli'], why: 'only the command line shows a QR code' },
  commander: { rooms: ['cli'], why: 'only the command line reads arguments' },
  valibot: {
    rooms: ['config', 'store', 'rpc', 'clerk', 'callback', 'session', 'update', 'broker'],
    why: 'these rooms receive data, and parse it first',
  },
}

/** Modules of Node.js that reach the machine: the rooms that may import them, and the reason. */
const MODULES: Readonly<Record<string, PackageRule>> = {
  'node:fs': { rooms: ['host', 'bootstrap', 'daemon/process-hardening.ts'], why: 'files are read through Files' },
  'node:fs/promises': { rooms: ['host'], why: 'files are read through Files' },
  'node:child_process': { rooms: ['host', 'cli/daemon-connection.ts'], why: 'programs are started through Run' },
  'node:http': { rooms: ['host', 'rpc', 'callback', 'broker'], why: 'three servers listen, and no other room' },
  'node:net': { rooms: ['host', 'rpc', 'callback', 'broker', 'cli/doctor'], why: 'three servers listen' },
  'node:dgram': { rooms: [], why: 'nothing is sent but by Fetch' },
  'node:tls': { rooms: ['host'], why: 'only Fetch opens TLS connections, always with full verification' },
  'node:worker_threads': { rooms: [], why: 'the daemon has one thread' },
  'node:cluster': { rooms: [], why: 'the daemon is one process' },
  'node:inspector': { rooms: [], why: 'the inspector would give memory away' },
}

interface Import {
  readonly path: string
  readonly name: string
}

/** Every import of a file, type-only ones and dynamic ones included. */
function importsOf(path: string): Import[] {
  const names: string[] = []
  const visit = (node: unknown): void => {
    if (Array.isArray(node)) {
      for (const child of node) visit(child)
      return
    }
    if (typeof node !== 'object' || node === null) return
    const { type, source } = node as { type?: string; source?: { value?: unknown } }
    if (type !== undefined && IMPORTS.has(type) && source) names.push(String(source.value))
    for (const child of Object.values(node)) visit(child)
  }
  visit(parseAst(readFileSync(join(SRC, path), 'utf8'), { lang: 'ts' }))
  return names.map((name) => ({ path, name: name.startsWith('.') ? posix.join(posix.dirname(path), name) : name }))
}

const IMPORTS = new Set([
  'ImportDeclaration',
  'ExportNamedDeclaration',
  'ExportAllDeclaration',
  'ImportExpression',
  'TSImportType',
])

const files = readdirSync(SRC, { recursive: true, encoding: 'utf8' })
  .filter((path) => path.endsWith('.ts'))
  .map((path) => path.split(sep).join('/'))
const imports = files.flatMap(importsOf)

const roomOf = (path: string) => String(path.split('/')[0])
const isIn = (path: string, room: string) => path === room || path.startsWith(`${room}/`)
const isPackage = ({ name }: Import) => !/^\.|^node:/.test(name) && !name.includes('.ts')
/** `@clerk/backend` for `@clerk/backend/errors`. */
const packageOf = (name: string) => /^(?:@[^/]+\/)?[^/]+/.exec(name)?.[0] ?? name
const said = ({ path, name }: Import) => `${path} imports ${name}`

function isAllowed({ path, name }: Import): boolean {
  if (name.startsWith('..')) return name in OUTSIDE
  const room = roomOf(path)
  return isIn(name, room) || Object.keys(ROOMS[room] ?? {}).some((allowed) => isIn(name, allowed))
}

describe('src/', () => {
  it('has a rule for every room', () => {
    expect([...new Set(files.map(roomOf))].sort()).toEqual(Object.keys(ROOMS).sort())
    expect(files.length).toBeGreaterThan(40)
    expect(imports.length).toBeGreaterThan(200)
  })

  it('imports from another room only what the table allows', () => {
    const wrong = imports.filter((one) => /\.ts$|\.json$/.test(one.name) && !isAllowed(one)).map(said)
    expect(wrong).toEqual([])
  })

  it('has no rule that no import needs', () => {
    const unused = Object.entries(ROOMS).flatMap(([room, reasons]) =>
      Object.keys(reasons)
        .filter((target) => !imports.some(({ path, name }) => isIn(path, room) && isIn(name, target)))
        .map((target) => `${room}: ${target}`),
    )
    expect(unused).toEqual([])
  })

  it('imports a package only in the rooms that it belongs to', () => {
    const wrong = imports.filter(
      (one) => isPackage(one) && !PACKAGES[packageOf(one.name)]?.rooms.includes(roomOf(one.path)),
    )
    expect(wrong.map(said)).toEqual([])
  })

  it('imports a module that reaches the machine only in the rooms that it belongs to', () => {
    const wrong = imports.filter(
      ({ path, name }) => name in MODULES && !MODULES[name]?.rooms.some((room) => isIn(path, room)),
    )
    expect(wrong.map(said)).toEqual([])
  })
})

describe('the packages', () => {
  const read = (name: string) => JSON.parse(readFileSync(join(ROOT, name), 'utf8'))

  it('are all imported, and every import is a dependency of the program', () => {
    const { dependencies } = read('package.json') as { dependencies: Record<string, string> }
    const imported = new Set(imports.filter(isPackage).map(({ name }) => packageOf(name)))
    expect([...imported].sort()).toEqual(Object.keys(dependencies).sort())
    expect(Object.keys(PACKAGES).sort()).toEqual(Object.keys(dependencies).sort())
  })

  it('of the program have no install script, and no other package needs its own', () => {
    const { packages } = read('package-lock.json') as {
      packages: Record<string, { hasInstallScript?: boolean; dev?: boolean }>
    }
    const { allowScripts } = read('package.json') as { allowScripts: Record<string, boolean> }
    const scripted = Object.entries(packages).filter(([, { hasInstallScript }]) => hasInstallScript)
    expect(scripted.filter(([, { dev }]) => !dev).map(([name]) => name)).toEqual([])
    const names = scripted.map(([name]) => name.replace(/.*node_modules\//, ''))
    for (const name of names) expect(name === 'fsevents' || allowScripts[name] === false, name).toBe(true)
  })
})
