// Reads the fenced blocks, the headings and the links of the documentation.
import { readdirSync, readFileSync } from 'node:fs'
import { join, posix, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

export interface Block {
  /** The first word of the info string: sh, json, python … */
  readonly language: string
  /** A second word that says how a test uses the block: `json config`. */
  readonly use: string | undefined
  /** Why the block does not run in a test. */
  readonly skip: string | undefined
  readonly text: string
  /** The line of the opening fence, from 1. */
  readonly line: number
}

export interface Page {
  /** From the root of the repository. */
  readonly path: string
  readonly text: string
  readonly blocks: readonly Block[]
  /** The text without its fenced blocks. */
  readonly prose: string
}

const INFO = /^([a-z]+)(?: ([a-z]+))?(?: skip="([^"]+)")?$/

/** @throws if a fence has no language, or an info string that no test understands */
export function readPage(path: string): Page {
  const text = readFileSync(join(ROOT, path), 'utf8')
  const blocks: Block[] = []
  const prose: string[] = []
  let open: { readonly info: RegExpExecArray; readonly line: number; readonly lines: string[] } | undefined
  for (const [index, line] of text.split('\n').entries()) {
    const [, fence] = /^ *```(.*)$/.exec(line) ?? []
    if (open === undefined && fence === undefined) prose.push(line)
    else if (open === undefined) {
      const info = INFO.exec(fence ?? '')
      if (info === null) throw new Error(`${path}:${index + 1}: a fence with the info string «${fence}»`)
      open = { info, line: index + 1, lines: [] }
    } else if (fence === undefined) open.lines.push(line)
    else {
      const [, language = '', use, skip] = open.info
      blocks.push({ language, use, skip, text: open.lines.join('\n'), line: open.line })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${path}:${open.line}: a fence that is never closed`)
  return { path, text, blocks, prose: prose.join('\n') }
}

function markdownIn(folder: string): string[] {
  return readdirSync(join(ROOT, folder), { recursive: folder !== '.', encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => posix.join(folder, name.split(sep).join('/')))
    .sort()
}

/** Every page whose blocks run in a test. */
export const pages: readonly Page[] = ['.', 'docs', 'examples'].flatMap(markdownIn).map(readPage)

/** Every Markdown file of the repository; the ones in `embed` are tested with the code they belong to. */
export const allPaths: readonly string[] = ['.', 'docs', 'examples', 'embed'].flatMap(markdownIn)

export interface Link {
  /** The file it names, from the root of the repository. */
  readonly path: string
  readonly anchor: string | undefined
  readonly target: string
}

/** The links of a page to files of the repository. */
export function linksOf(page: Pick<Page, 'path' | 'text'>): Link[] {
  const targets = [...page.text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, target = '']) => target)
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => {
      const [file = '', anchor] = target.split('#')
      return { path: file === '' ? page.path : posix.join(posix.dirname(page.path), file), anchor, target }
    })
}

/** The anchors of the headings, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#{1,6} (.*)$/gm)].map(([, heading = '']) =>
    heading
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  )
}
