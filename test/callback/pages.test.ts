// The pages at the end of a sign-in: their headers, their markup, and how Chromium renders them.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, type BrowserContextOptions, chromium, type Page as Tab } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Page } from '../../src/callback/page.ts'
import { pages, signedInPage } from '../../src/callback/pages.ts'

const CHROMIUM = '/usr/bin/chromium'
const STATUS: Readonly<Record<string, number>> = {
  signedIn: 200,
  denied: 200,
  failed: 200,
  notFound: 404,
  otherUser: 403,
  notAVisit: 403,
  outside: 403,
  tooLarge: 431,
} // the others have 400
const VOID = new Set(['meta'])

const all: [string, Page][] = Object.entries(pages)
const html = ({ body }: Page) => new TextDecoder('utf-8', { fatal: true }).decode(body)
const styleOf = (text: string) => [...text.matchAll(/<style>(.*?)<\/style>/gs)].map((match) => match[1] ?? '')
const titleOf = (text: string) => /<title>([^<]+)<\/title>/.exec(text)?.[1]
const textOf = (text: string) =>
  (/<main.*<\/main>/s.exec(text)?.[0] ?? '')
    .replaceAll(/<[^>]+>/g, ' ')
    .replaceAll(/\s+/g, ' ')
    .trim()

describe('the page of a sign-in', () => {
  test('[C4] names the user without giving their name a meaning in HTML', () => {
    const page = signedInPage('<img src=x onerror=alert(1)> "Ada" & \'x\' `y`')
    expect(html(page)).toContain(
      '<b>&#60;img src=x onerror=alert(1)&#62; &#34;Ada&#34; &#38; &#39;x&#39; &#96;y&#96;</b>',
    )
    expect(html(page)).not.toContain('<img')
    expect(page.headers['Content-Length']).toBe(String(page.body.length))
  })

  test('is the constant one if the provider names neither address nor name', () => {
    expect(signedInPage(null)).toBe(pages.signedIn)
  })
})

describe.each(all)('the page %s', (name, page) => {
  const text = html(page)

  test('[C4] has its status, every security header and no other header', () => {
    const hash = createHash('sha256')
      .update(styleOf(text)[0] ?? '')
      .digest('base64')
    expect({ status: page.status, headers: page.headers }).toEqual({
      status: STATUS[name] ?? 400,
      headers: {
        'Content-Type': 'text/html; charset=utf-8',
        'Content-Length': String(page.body.length),
        'X-Content-Type-Options': 'nosniff',
        'Content-Security-Policy': `default-src 'none'; style-src 'sha256-${hash}'; frame-ancestors 'none'; form-action 'none'; base-uri 'none'`,
        'Referrer-Policy': 'no-referrer',
        'Cache-Control': 'no-store',
        'Cross-Origin-Opener-Policy': 'same-origin',
        'Cross-Origin-Resource-Policy': 'same-origin',
        'X-Frame-Options': 'DENY',
        Connection: 'close',
      },
    })
  })

  test('[9700-7] has no script, form, handler, inline style or reference to anything outside itself', () => {
    for (const forbidden of [
      /<(script|form|a|link|img|iframe|object|embed|base|use|image|foreignObject)\b/i,
      /\b(src|srcset|href|action|data|poster|ping|style|http-equiv|on[a-z]+)\s*=/i,
      /https?:|\/\/|url\(|@import|data:|javascript:/i,
    ]) {
      expect(text).not.toMatch(forbidden)
    }
  })

  test('is a complete document that a screen reader can follow', () => {
    expect(text).toMatch(/^<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n/)
    expect(text).toContain('<meta name="viewport" content="width=device-width, initial-scale=1">')
    expect(text).toContain('<meta name="color-scheme" content="light dark">')
    for (const once of [/<title>/g, /<style>/g, /<body>/g, /<main[ >]/g, /<h1>/g]) {
      expect(text.match(once)).toHaveLength(1)
    }
    expect(text).toMatch(/<svg [^>]*aria-hidden="true"/)
    expect(unclosed(text)).toEqual([])
  })
})

test('the pages share one style, and each has its own title and heading', () => {
  const texts = all.map(([, page]) => html(page))
  expect(new Set(texts.flatMap(styleOf)).size).toBe(1)
  expect(new Set(texts.map(titleOf)).size).toBe(all.length)
  expect(new Set(texts.map((text) => /<h1>([^<]+)</.exec(text)?.[1])).size).toBe(all.length)
})

test('each page tells what happened and what to do next', () => {
  expect(textOf(html(pages.signedIn))).toBe('You are signed in. You can close this tab and go back to Fusion.')
  expect(textOf(html(pages.denied))).toMatch(/declined.*Nothing has changed.*try again.*CADZERO/)
  expect(textOf(html(pages.failed))).toMatch(/could not be completed.*cadzero-auth status.*try again.*CADZERO/)
  expect(textOf(html(pages.interrupted))).toMatch(/Clerk signed you in.*once.*still waiting.*new tab.*link again/)
  expect(textOf(html(pages.wrongLink))).toMatch(/does not belong to the sign-in.*Nothing has changed.*still waiting/)
  expect(textOf(html(pages.notFound))).toBe('There is nothing here. You can close this tab.')
})

const withoutChromium = !existsSync(CHROMIUM)
const browserName = withoutChromium ? `Chromium (skipped: ${CHROMIUM} is missing)` : 'Chromium'

describe.skipIf(withoutChromium)(browserName, { timeout: 60_000 }, () => {
  let server: Server
  let browser: Browser
  let origin: string
  const requested: string[] = []

  beforeAll(async () => {
    server = createServer((request, response) => {
      const path = request.url ?? ''
      requested.push(path)
      const page = all.find(([name]) => path === `/${name}`)?.[1]
      if (page === undefined) response.writeHead(204).end()
      else response.writeHead(page.status, page.headers).end(page.body)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
  }, 60_000)

  afterAll(async () => {
    await browser?.close()
    server?.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })

  async function open(
    name: string,
    options: BrowserContextOptions,
    inspect: (tab: Tab) => Promise<void>,
  ): Promise<void> {
    const context = await browser.newContext(options)
    try {
      const tab = await context.newPage()
      const messages: string[] = []
      tab.on('pageerror', (error) => messages.push(error.message))
      tab.on('console', (message) => {
        // Chromium reports the page's own status 400 or 404 as an error; any other message is a defect.
        const isStatus =
          message.location().url === `${origin}/${name}` && message.text().startsWith('Failed to load resource')
        if (!isStatus) messages.push(message.text())
      })
      requested.length = 0
      await tab.goto(`${origin}/${name}`, { waitUntil: 'load' })
      await inspect(tab)
      expect(messages).toEqual([])
      expect(requested.filter((path) => path !== '/favicon.ico')).toEqual([`/${name}`])
    } finally {
      await context.close()
    }
  }

  test.each(all)('renders the page %s legibly in light and dark, without loading anything else', async (name, page) => {
    const sheets: string[] = []
    for (const colorScheme of ['light', 'dark'] as const) {
      await open(name, { colorScheme, reducedMotion: 'reduce' }, async (tab) => {
        const inspected = (await tab.evaluate(INSPECT)) as Inspected
        expect(inspected.title).toBe(titleOf(html(page)))
        expect(inspected.maxWidth).toBe('560px')
        expect(inspected.animations).toBe(0)
        for (const [color, least] of inspected.colors) {
          expect(contrast(color, inspected.sheet), `${color} on ${inspected.sheet}`).toBeGreaterThanOrEqual(least)
        }
        sheets.push(inspected.sheet)
      })
    }
    expect(sheets).toEqual(['rgb(247, 248, 249)', 'rgb(20, 23, 26)'])
  })

  test('no page overflows a narrow window', async () => {
    for (const [name] of all) {
      await open(name, { viewport: { width: 320, height: 480 } }, async (tab) => {
        expect(await tab.evaluate(OVERFLOW), name).toEqual([])
      })
    }
  })
})

interface Inspected {
  readonly title: string
  readonly sheet: string
  readonly maxWidth: string
  readonly animations: number
  readonly colors: readonly [color: string, leastContrast: number][]
}

// A string, since this project has no DOM types. WCAG 2.2 AA requires a contrast of 4.5 for text and 3 for the mark.
const INSPECT = `(() => {
  const color = (element) => getComputedStyle(element).color
  return {
    title: document.title,
    sheet: getComputedStyle(document.body).backgroundColor,
    maxWidth: getComputedStyle(document.querySelector('main')).maxWidth,
    animations: document.getAnimations().length,
    colors: [
      ...[...document.querySelectorAll('h1, p, code, footer span, footer b')].map((element) => [color(element), 4.5]),
      [color(document.querySelector('svg')), 3],
    ],
  }
})()`

// Each box is measured, since the sheet clips its content and the window itself would not scroll.
const OVERFLOW = `[...document.querySelectorAll('html, h1, p, code, footer span')]
  .filter((element) => {
    const { left, right } = element.getBoundingClientRect()
    return left < 0 || right > 320 || element.scrollWidth > Math.max(element.clientWidth, Math.ceil(right - left))
  })
  .map((element) => element.outerHTML)`

/** The contrast ratio of two `rgb()` colors, as WCAG 2.2 computes it. */
function contrast(one: string, other: string): number {
  const [dark = 0, light = 0] = [luminance(one), luminance(other)].sort((a, b) => a - b)
  return (light + 0.05) / (dark + 0.05)
}

function luminance(color: string): number {
  const channels = /^rgb\((\d+), (\d+), (\d+)\)$/.exec(color)
  if (channels === null) throw new Error(`not an opaque rgb color: ${color}`)
  const [red = 0, green = 0, blue = 0] = channels
    .slice(1)
    .map((channel) => Number(channel) / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue
}

/** The elements that are left open, or closed in the wrong order. */
function unclosed(text: string): string[] {
  const open: string[] = []
  for (const [, slash, name = '', attributes = ''] of text.matchAll(/<(\/?)([a-z][a-z0-9]*)([^>]*)>/g)) {
    if (VOID.has(name) || attributes.endsWith('/')) continue
    if (slash === '') open.push(name)
    else if (open.pop() !== name) return [...open, `</${name}>`]
  }
  return open
}
