// The words that may not appear in comments, titles, hints, help texts and Markdown, and why.
import { readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const ROOT = fileURLToPath(new URL('..', import.meta.url))
const FOLDERS = ['src', 'test', 'scripts', 'docs', 'embed', 'examples', '.ci']
const TEXT = /(?:\.(?:ts|tsx|mjs|cjs|js|py|md|sh|json|grit)|\/run)$/
const NO_PROSE = /node_modules|__pycache__|package-lock\.json|\/\.platforms\/|^test\/prose\.test\.ts$/

/** A pattern, and what to write instead. */
const WORDS: readonly (readonly [pattern: RegExp, instead: string])[] = [
  [
    /\b(?:nobody|anybody|somebody|whoever)\b/i,
    'name the subject: the daemon, the client, the user, the provider, Clerk',
  ],
  [/\bwherever\b/i, '«in every place», or «if»'],
  [/\b[Ww]here (?:there|no|none|they|that|one)\b/, '«if» or «when» for a condition; «where» is for a place'],
  [/\b[Ww]here it (?:has|does|did|can|cannot|could|would|must|fails)\b/, '«if» or «when»; «where» is for a place'],
  [
    /\bwhat (?:comes|goes|waits|is said|was said|it comes to)\b/i,
    'name the thing: the response, the callback, the text',
  ],
  [/\bwho (?:waits|asks|comes|calls)\b/i, 'name the subject: the caller, the client, the user'],
  [/\b(?:behind the answer|at the latest then|all the same way)\b/i, '«in the background», «after the response»'],
  [
    /\b(?:Safekeeping|Leftovers|Turns|Publication|Validity|strangers|worn)\b|#(?:spendable|hold|take)\b|\b(?:interface|type|class) (?:Answer|Peer|Paste|Reach|Protection)\b/,
    'the field’s word for the thing',
  ],
  [/\bstands? over\b|\bcomes? to the same\b|\bby no way\b/i, '«overrides»'],
]

const files = [
  ...FOLDERS.flatMap((folder) =>
    readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }).map((name) => join(folder, name)),
  ),
  ...readdirSync(ROOT).filter((name) => /\.(?:md|json|ts|mjs)$/.test(name)),
]
  .map((path) => path.split(sep).join('/'))
  .filter((path) => TEXT.test(path) && !NO_PROSE.test(path))

const lines = files.flatMap((path) =>
  readFileSync(join(ROOT, path), 'utf8')
    .split('\n')
    .map((text, index) => ({ place: `${path}:${index + 1}`, text })),
)

describe('the prose', () => {
  it('is read from every folder', () => {
    for (const folder of FOLDERS)
      expect(
        files.some((path) => path.startsWith(`${folder}/`)),
        folder,
      ).toBe(true)
    expect(files).toContain('README.md')
  })

  it.each(WORDS)('has no %s', (pattern, instead) => {
    const found = lines.filter(({ text }) => pattern.test(text)).map(({ place, text }) => `${place}: ${text.trim()}`)
    expect(found, `write ${instead}`).toEqual([])
  })

  it('says in the first line of each source file what the file does', () => {
    const sources = files.filter((path) => /^(?:src|test|scripts)\/.*\.ts$/.test(path))
    const silent = sources.filter((path) => {
      const [first = ''] = readFileSync(join(ROOT, path), 'utf8')
        .split('\n')
        .filter((line) => !line.startsWith('#!'))
      return !/^\/\/ \S.{15,}/.test(first)
    })
    expect(silent).toEqual([])
  })
})
