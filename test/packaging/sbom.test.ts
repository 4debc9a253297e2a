// The bill of materials and the licences: every package of the bundles is listed, and the schema of CycloneDX is kept.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { build } from 'esbuild'
import { describe, expect, it } from 'vitest'
import { BUNDLES, EXECUTABLE } from '../../scripts/bundle.ts'
import { packagesIn } from '../../scripts/package/bundled.ts'
import { collectNotices } from '../../scripts/package/notices.ts'
import { createSbom, validateSbom } from '../../scripts/package/sbom.ts'
import { PLATFORM_VERSION, TARGETS } from '../../scripts/package/targets.ts'
import { temporaryFolder } from '../support/folder.ts'

const CRATES = '| Crate | Version | License |\n| --- | --- | --- |\n| aes | 0.8.4 | MIT OR Apache-2.0 |\n'
const platform = {
  targets: TARGETS,
  versions: { node: PLATFORM_VERSION, v8: '14.6.202', openssl: '3.5.8', nghttp3: '' },
  crates: new Map(TARGETS.map(({ addon }) => [addon.split('/').slice(0, 2).join('/'), CRATES])),
}

describe('the packages of the bundles', () => {
  it('are those that also devDependencies reach', async () => {
    const names = (await packagesIn([...BUNDLES, EXECUTABLE])).map(({ name }) => name)
    expect(names).toEqual(
      expect.arrayContaining(['jose', 'ws', '@clerk/shared', '@clerk/backend', 'pino', 'commander']),
    )
    expect(names).not.toContain('esbuild')
  })

  it('are also those that another package has bundled into its own files, with their versions and licences', async () => {
    const packages = await packagesIn(BUNDLES)
    const text = (await Promise.all(BUNDLES.map(({ outfile = '' }) => readFile(outfile, 'utf8')))).join('')
    // A text that only the source of that package has.
    for (const [name, own] of [
      ['cookie', 'argument val is invalid'],
      ['path-to-regexp', 'Must have text between two parameters'],
      ['map-obj', 'Expected an object, got'],
      ['rfc4648', 'Unexpected end of data'],
    ] as const) {
      expect(text).toContain(own)
      const found = packages.find((one) => one.name === name)
      expect(found, name).toMatchObject({ version: expect.stringMatching(/^\d+\.\d+\.\d+$/), license: 'MIT' })
      expect(await collectNotices({ [name]: String(found?.folder) })).toMatch(
        /Copyright .*Permission is hereby granted/s,
      )
    }
    expect(packages.map(({ name }) => name)).toEqual(expect.arrayContaining(['change-case', 'snakecase-keys']))
  })

  it.each([
    ['of another version', '../node_modules/.pnpm/@a+b@1.0.0_c@2.0.0/node_modules/cookie/index.js', 'cookie 1.0.0'],
    ['that is not known', '../../../node_modules/@scope/inner/index.js', '@scope/inner'],
    ['in a folder for copies', './src/vendor/inner/index.js', 'outer/src/vendor/inner/index.js'],
  ])('have none inside %s: its licence would be missing', async (_title, source, named) => {
    const folder = await temporaryFolder()
    const outer = join(folder, 'node_modules', 'outer')
    await mkdir(outer, { recursive: true })
    await writeFile(join(outer, 'package.json'), '{ "name": "outer", "version": "1.0.0", "license": "ISC" }')
    const map = { version: 3, sources: [source], names: [], mappings: 'AAAA' }
    const url = `data:application/json;base64,${Buffer.from(JSON.stringify(map)).toString('base64')}`
    await writeFile(join(outer, 'index.js'), `console.log('inner')\n//# sourceMappingURL=${url}\n`)
    const stdin = { contents: "import 'outer'", resolveDir: folder }
    await expect(packagesIn([{ bundle: true, stdin, logLevel: 'silent' }])).rejects.toThrow(named)
  })

  it('are found for a package within a package, and left out if no byte of them is bundled', async () => {
    const folder = await temporaryFolder()
    const add = async (path: string, name: string, code: string) => {
      await mkdir(join(folder, path), { recursive: true })
      const text = JSON.stringify({ name, version: '1.2.3', license: 'ISC', main: 'index.js', sideEffects: false })
      await writeFile(join(folder, path, 'package.json'), text)
      await writeFile(join(folder, path, 'index.js'), code)
    }
    await add('node_modules/outer', 'outer', "export { value } from '@scope/inner'")
    await add('node_modules/outer/node_modules/@scope/inner', '@scope/inner', 'export const value = 1')
    await add('node_modules/unused', 'unused', 'export const other = 1')
    const contents = "import { value } from 'outer'\nimport { other } from 'unused'\nconsole.log(value)"
    const bundle = { bundle: true, stdin: { contents, resolveDir: folder }, logLevel: 'silent' } as const
    await build({ ...bundle, write: false })
    expect((await packagesIn([bundle])).map(({ name, version, license }) => [name, version, license])).toEqual([
      ['@scope/inner', '1.2.3', 'ISC'],
    ])
  })
})

describe('the bill of materials', () => {
  it('follows the schema, for the script and for the executables, and is the same each time', async () => {
    const bundled = await packagesIn(BUNDLES)
    for (const one of [undefined, platform]) {
      const text = JSON.stringify(createSbom(bundled, one))
      await validateSbom(text)
      expect(JSON.stringify(createSbom(bundled, one))).toBe(text)
    }
  })

  it('names the program, each Node with its libraries and each addon with its crates, with their hashes', async () => {
    const { metadata, components } = createSbom([], platform)
    expect(metadata.component).toMatchObject({ type: 'application', name: 'cadzero-auth' })
    expect(components.map(({ name }) => name)).toEqual(
      TARGETS.flatMap(({ node, addon }) => [node.split('/')[0], addon.split('/').slice(0, 2).join('/')]),
    )
    for (const { type, hashes, components: parts } of components) {
      expect(hashes).toEqual([{ alg: 'SHA-512', content: expect.stringMatching(/^[0-9a-f]{128}$/) }])
      expect(parts?.map(({ name }) => name)).toEqual(type === 'platform' ? ['v8', 'openssl'] : ['aes'])
    }
  })

  it('is refused if it does not follow the schema', async () => {
    const sbom = createSbom([])
    const wrong = { ...sbom, components: [{ type: 'librarian', name: 'x' }] }
    await expect(validateSbom(JSON.stringify(wrong))).rejects.toThrow('does not follow the schema')
  })
})

it('a package without a licence text is an error', async () => {
  const folder = await temporaryFolder()
  await expect(collectNotices({ x: folder })).rejects.toThrow('no licence text for x')
  await writeFile(join(folder, 'LICENSE'), 'do as you like')
  expect(await collectNotices({ x: folder })).toBe('x\n\ndo as you like\n')
})
