// Releases of real executables for tests of updates, signed by the key of the tests, and a server on loopback that offers them.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
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

/** Put before a program: its commands run, and its daemon ends at once. */
export const BROKEN =
  "if (process.argv[2] === 'daemon' && !process.argv.includes('--stop')) { console.error('error: it is broken'); process.exit(7) }\n"

/** Builds an executable as `npm run package` does, but with another version, and with the key of the tests. */
export async function makeRelease(folder: string, version: string, before = ''): Promise<Release> {
  const work = join(folder, version)
  await mkdir(work)
  const target = hostTarget()
  const packages = await fetchTarget(target)
  const bundle = join(work, 'program.cjs')
  const define = { ...options.define, UPDATE_KEY: JSON.stringify(testPublicKey) }
  await build({ ...BUNDLES[0], define, outfile: bundle })
  await build({ ...EXECUTABLE, outfile: join(work, 'main.cjs') })
  const text = await readFile(bundle, 'utf8')
  const changed = text.replace('{name:"cadzero-auth",version:"1.0.0"', `{name:"cadzero-auth",version:"${version}"`)
  expect(changed).toContain(`version:"${version}"`)
  await writeFile(bundle, before + changed)
  const own = [HEADER, ...Object.keys(OWN_FILES).map((file) => join('dist', file))]
  const assets = {
    'program.cjs': bundle,
    ...Object.fromEntries(own.map((path) => [basename(path), resolve(path)])),
    'keyring.node': join(packages, target.addon),
  }
  const program = join(work, 'cadzero-auth')
  const builder = { node: join(packages, target.node), packages: await fetchBuilder(target) }
  await buildExecutable(builder, { target, node: builder.node, main: 'main.cjs', assets }, program, work)
  const content = await readFile(program)
  const gzip = gzipSync(content, { level: 1 })
  const name = `cadzero-auth-${version}-linux-x64.gz`
  const unpacked = { target: 'linux-x64', name: 'cadzero-auth', size: content.length, sha256: sha256(content) }
  return { version, program, gzip, file: { name, size: gzip.length, sha256: sha256(gzip), program: unpacked } }
}

/** A server on loopback that offers releases. */
export async function newReleaseServer() {
  const now = Math.floor(Date.now() / 1000)
  const files = new Map<string, Buffer>()
  let onProgram: (() => Promise<void>) | undefined
  const address = await serve(async (request, response) => {
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
    /** Stops in the middle of a program, calls this, and closes the connection. */
    interrupt: (action: (() => Promise<void>) | undefined) => {
      onProgram = action
    },
  }
}
