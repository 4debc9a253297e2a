// The documentation as text: links, fences, the length of the README, the examples of configuration.
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { loadConfig } from '../../src/config/config.ts'
import { systemFiles } from '../../src/host/files.ts'
import { attacks } from '../security/register.ts'
import { temporaryFolder } from '../support/folder.ts'
import { allPaths, anchorsOf, linksOf, pages, ROOT, readPage } from './markdown.ts'

describe('the documentation', () => {
  it('has no link to a file or a heading that does not exist', () => {
    const broken = allPaths.flatMap((path) => {
      const page = { path, text: readFileSync(join(ROOT, path), 'utf8') }
      return linksOf(page)
        .filter(({ path: file, anchor }) => {
          if (!existsSync(join(ROOT, file))) return true
          return anchor !== undefined && !anchorsOf(readFileSync(join(ROOT, file), 'utf8')).includes(anchor)
        })
        .map(({ target }) => `${path}: ${target}`)
    })
    expect(broken).toEqual([])
  })

  it('names no file of the repository that does not exist', () => {
    const missing = pages.flatMap(({ path, text }) =>
      [...text.matchAll(/(?<![\w/.~-])(?:src|test|scripts|embed|examples|\.ci)\/[\w./-]*\w/g)]
        .filter(([file]) => !existsSync(join(ROOT, file)))
        .map(([file]) => `${path}: ${file}`),
    )
    expect(missing).toEqual([])
  })

  it('lists every page in its index', () => {
    const listed = linksOf(readPage('docs/README.md')).map(({ path }) => path)
    const top = pages.map(({ path }) => path).filter((path) => /^docs\/[^/]+\.md$/.test(path))
    expect(top.filter((path) => path !== 'docs/README.md' && !listed.includes(path))).toEqual([])
  })

  it('lists every decision in the index of decisions', () => {
    const listed = linksOf(readPage('docs/decisions/README.md')).map(({ path }) => path)
    const all = pages.map(({ path }) => path).filter((path) => path.startsWith('docs/decisions/'))
    expect(all.filter((path) => !path.endsWith('README.md') && !listed.includes(path))).toEqual([])
  })

  it('names each package that .ci/run installs', () => {
    const [, packages = ''] = /^packages=\((.+)\)$/m.exec(readFileSync(join(ROOT, '.ci/run'), 'utf8')) ?? []
    const [, named = ''] = /`(chromium [^`]+)`/.exec(readPage('CONTRIBUTING.md').text) ?? []
    expect(named.split(' ').sort()).toEqual(packages.split(' ').sort())
  })

  it('has a README that is read in a few minutes', () => {
    expect(readPage('README.md').text.split('\n').length).toBeLessThanOrEqual(141)
  })

  // Mermaid itself is too heavy for this suite; its parser trips over this most often.
  it('ends no statement of a diagram with a semicolon in a text', () => {
    const diagrams = pages.flatMap(({ blocks }) => blocks.filter(({ language }) => language === 'mermaid'))
    expect(diagrams.length).toBeGreaterThanOrEqual(9)
    expect(diagrams.filter(({ text }) => text.includes(';')).map(({ text }) => text)).toEqual([])
  })

  it('hides no command from the tests in an indented block', () => {
    const indented = pages.flatMap(({ path, prose }) =>
      prose
        .split('\n')
        .filter((line) => /^ {4,}(npm|npx|node|cadzero-auth|curl|python3?|git|\$)\b/.test(line))
        .map((line) => `${path}: ${line}`),
    )
    expect(indented).toEqual([])
  })
})

describe('SECURITY.md', () => {
  it('names every attack of the register, and no other', () => {
    const { text } = readPage('SECURITY.md')
    const ids = [...text.matchAll(/\[([A-I])(\d+)\](?:–\[[A-I](\d+)\])?/g)].flatMap(([, letter, first, last = first]) =>
      Array.from({ length: Number(last) - Number(first) + 1 }, (_, index) => `${letter}${Number(first) + index}`),
    )
    expect([...new Set(ids)].sort()).toEqual(Object.keys(attacks).sort())
  })
})

const configurations = pages.flatMap(({ path, blocks }) =>
  blocks.filter(({ use }) => use === 'config').map((block): [string, string] => [`${path}:${block.line}`, block.text]),
)

describe('an example of configuration', () => {
  it.each(configurations)('in %s is accepted', async (_where, text) => {
    const file = join(await temporaryFolder(), 'config.json')
    await writeFile(file, text)
    const config = await loadConfig(systemFiles, file, {})
    expect(config.profiles.get(config.defaultProfile)).toBeDefined()
  })
})
