// Releases of real executables for tests of updates, signed by the key of the tests, and a server on loopback that offers them.
import { readFile, writeFile } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'
import { expect } from 'vitest'
import { BUNDLES, EXECUTABLE, HEADER, OWN_FILES, options } from '../../scripts/bundle.ts'
import { fetchBuilder, fetchTarget } from '../../scripts/package/fetch.ts'
import { buildExecutable } from '../../scripts/package/pkg.ts'
import { hostTarget } from '../../scripts/package/targets.ts'
import { serve } from '../support/serve.ts'
import { DAY, type Fields, manifestValue, sha256, signed, testPublicKey } from '../update/releases.ts'

export interface Release {
  readonly version: string
  readonly program: string
  readonly gzip: Buffer
  readonly file: object
}

// What is put before a program.
/** Its commands run, and its daemon ends at once. */
export const BROKEN =
  "if (process.argv[2] === 'daemon' && !process.argv.includes('--stop')) { console.error('error: it is broken'); process.exit(7) }\n"
/** Its daemon gets ready, and crashes half a second later. */
export const CRASHING =
  "if (process.argv[2] === 'daemon') { const write = process.stdout.write.bind(process.stdout); process.stdout.write = (text, ...rest) => { if (String(text).startsWith('ready')) setTimeout(() => process.exit(9), 500); return write(text, ...rest) } }\n"

/**
 * Builds executables as `npm run package` does, but with other versions, and with the key of the tests. One is built, and the others have
 * another text in the place of its program.
 * @param versions what is put before the program of each version
 */
export async function makeReleases(
  folder: string,
  versions: Readonly<Record<string, string>>,
): Promise<ReadonlyMap<string, Release>> {
  const text = await programText(folder)
  const base = programOf(text, '1.0.0', '')
  const executable = await buildBase(folder, base)
  const place = executable.indexOf(base)
  const releases = Object.entries(versions).map(async ([version, before]): Promise<[string, Release]> => {
    const content = Buffer.from(executable)
    content.set(programOf(text, version, before), place)
    const program = join(folder, `cadzero-auth-${version}`)
    await writeFile(program, content, { mode: 0o755 })
    const gzip = gzipSync(content, { level: 1 })
    const name = `cadzero-auth-${version}-linux-x64.gz`
    const unpacked = { target: 'linux-x64', name: 'cadzero-auth', size: content.length, sha256: sha256(content) }
    return [
      version,
      { version, program, gzip, file: { name, size: gzip.length, sha256: sha256(gzip), program: unpacked } },
    ]
  })
  return new Map(await Promise.all(releases))
}

async function programText(folder: string): Promise<string> {
  const outfile = join(folder, 'bundle.cjs')
  const define = { ...options.define, UPDATE_KEY: JSON.stringify(testPublicKey) }
  await build({ ...BUNDLES[0], define, outfile })
  return await readFile(outfile, 'utf8')
}

const PROGRAM_BYTES = 1_500_000 // each program is filled up to it

function programOf(text: string, version: string, before: string): Buffer {
  const changed = text.replace(/\{name:"cadzero-auth",version:"[^"]+"/, `{name:"cadzero-auth",version:"${version}"`)
  expect(changed).toContain(`version:"${version}"`)
  const program = Buffer.alloc(PROGRAM_BYTES, ' ')
  expect(program.write(before + changed)).toBeLessThan(PROGRAM_BYTES)
  return program
}

async function buildBase(folder: string, base: Buffer) {
  const target = hostTarget()
  const packages = await fetchTarget(target)
  const program = join(folder, 'program.cjs')
  await writeFile(program, base)
  await build({ ...EXECUTABLE, outfile: join(folder, 'main.cjs') })
  const own = [HEADER, ...Object.keys(OWN_FILES).map((file) => join('dist', file))]
  const assets = {
    'program.cjs': program,
    ...Object.fromEntries(own.map((path) => [basename(path), resolve(path)])),
    'keyring.node': join(packages, target.addon),
  }
  const executable = join(folder, 'cadzero-auth')
  const builder = { node: join(packages, target.node), packages: await fetchBuilder(target) }
  await buildExecutable(builder, { target, node: builder.node, main: 'main.cjs', assets }, executable, folder)
  return await readFile(executable)
}

/** A server on loopback that offers releases. */
export async function newReleaseServer() {
  const now = Math.floor(Date.now() / 1000)
  const files = new Map<string, Buffer>()
  let onProgram: (() => Promise<void>) | undefined
  const requests: string[] = []
  const address = await serve(async (request, response) => {
    requests.push(String(request.url))
    const body = files.get(String(request.url))
    if (body === undefined) return response.writeHead(404).end()
    response.writeHead(200, { 'content-length': body.length })
    if (!String(request.url).endsWith('.gz') || onProgram === undefined) return response.end(body)
    response.write(body.subarray(0, 1_000_000))
    await onProgram()
    return response.destroy()
  })
  const offer = ({ version, gzip, file }: Release, fields: Fields = {}, program?: Buffer) => {
    const expiresAt = new Date((now + 30 * DAY) * 1000).toISOString()
    const { bytes, signature } = signed(manifestValue({ version, sequence: now, expiresAt, files: [file], ...fields }))
    files.set('/update.json', bytes)
    files.set('/update.json.sig', Buffer.from(signature))
    files.set(`/cadzero-auth-${version}-linux-x64.gz`, program ?? gzip)
  }
  return {
    url: new URL('/update.json', address).href,
    offer,
    files,
    requests,
    /** Stops in the middle of a program, calls this, and closes the connection. */
    interrupt: (action: (() => Promise<void>) | undefined) => {
      onProgram = action
    },
  }
}
