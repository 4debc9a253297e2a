// Downloads from a real server on loopback: sizes, redirects, ends that come too early, and waits.
import type { ServerResponse } from 'node:http'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/host/clock.ts'
import { sendRequest } from '../../src/host/connection.ts'
import { boundedDownload } from '../../src/host/download.ts'
import type { Fetch } from '../../src/host/network.ts'
import { TestClock } from '../support/clock.ts'
import { serve } from '../support/serve.ts'

const connection = { proxy: undefined, secureContext: undefined }
const direct: Fetch = (url, init = {}) =>
  sendRequest(new URL(url), init, { ...connection, signal: init.signal ?? new AbortController().signal })

async function read(url: URL, { maxBytes = 1000, clock = systemClock, fetch = direct } = {}): Promise<string> {
  const chunks: Uint8Array[] = []
  await boundedDownload(fetch, clock)(url, { maxBytes, onChunk: (chunk) => void chunks.push(chunk) })
  return Buffer.concat(chunks).toString()
}

/** A fetch that answers https addresses with these responses, in turn. */
const answers = (...responses: readonly Response[]) => {
  const [left, urls] = [[...responses], [] as string[]]
  const fetch: Fetch = async (url) => {
    urls.push(String(url))
    return left.shift() ?? expect.fail('one request too many')
  }
  return { fetch, urls }
}
const redirect = (location: string, status = 302) => new Response(null, { status, headers: { location } })

describe('a download', () => {
  it('gets the whole file in pieces', async () => {
    const url = await serve((_request, response) => response.end('x'.repeat(1000)))
    expect(await read(url)).toBe('x'.repeat(1000))
  })

  it('[I8] ends with the first piece that is beyond the size', async () => {
    const MOST = 50_000_000
    let sent = 0
    const url = await serve((_request, response) => {
      const more = () => {
        while (!response.destroyed && sent < MOST && response.write('x'.repeat(1000))) sent += 1000
        if (sent >= MOST) response.end() // without the bound, the test fails instead of filling the memory
      }
      response.on('drain', more)
      more()
    })
    await expect(read(url, { maxBytes: 100_000 })).rejects.toThrow('larger than it should be')
    expect(sent).toBeLessThan(MOST)
  })

  it('fails if the connection ends before the file', async () => {
    const url = await serve((_request, response) => {
      response.writeHead(200, { 'content-length': 1000 })
      response.write('x'.repeat(500), () => response.destroy())
    })
    await expect(read(url)).rejects.toMatchObject({ name: 'NetworkError' })
  })

  it.each([404, 401, 500, 204, 206, 304])('fails if the server answers with %i', async (status) => {
    const url = await serve((_request, response) => response.writeHead(status).end())
    await expect(read(url)).rejects.toThrow(`the server answers with ${status}`)
  })

  it('[I8] fails if no piece comes for a minute', async () => {
    const clock = new TestClock()
    const url = await serve((_request, response) => response.write('x'))
    const onChunk = () => void setImmediate(() => clock.advance(61)) // once the download waits for the next piece
    const download = boundedDownload(direct, clock)(url, { maxBytes: 10, onChunk })
    await expect(download).rejects.toMatchObject({ name: 'NetworkError', code: 'timeout' })
  })

  it.each([
    [1000, 120],
    [50_000_000, 3333],
  ])('[I8] fails if pieces come, but %i bytes may take %i s', async (maxBytes, seconds) => {
    const clock = new TestClock()
    const startedAt = clock.monotonic()
    let response: ServerResponse | undefined
    const url = await serve((_request, answer) => {
      response = answer
      answer.write('x')
    })
    const onChunk = () => {
      clock.advance(50)
      response?.write('x')
    }
    await expect(boundedDownload(direct, clock)(url, { maxBytes, onChunk })).rejects.toMatchObject({ code: 'timeout' })
    expect(clock.monotonic() - startedAt).toBeGreaterThanOrEqual(seconds)
    expect(clock.monotonic() - startedAt).toBeLessThan(seconds + 50)
  })

  it('follows redirects to https, as release pages of GitHub need it, and sends nothing along', async () => {
    const { fetch, urls } = answers(redirect('https://b.example/x?signed=1'), redirect('/y', 307), new Response('file'))
    expect(await read(new URL('https://a.example/update.json'), { fetch })).toBe('file')
    expect(urls).toEqual(['https://a.example/update.json', 'https://b.example/x?signed=1', 'https://b.example/y'])
  })

  it.each(['http://b.example/', 'http://127.0.0.1:1/', 'http://localhost:1/', 'file:///etc/passwd', 'data:,x'])(
    '[I8] never goes from https to %s',
    async (location) => {
      const { fetch, urls } = answers(redirect(location))
      await expect(read(new URL('https://a.example/'), { fetch })).rejects.toThrow('without https')
      expect(urls).toHaveLength(1)
    },
  )

  it('[I8] does not leave loopback without https either', async () => {
    const url = await serve((_request, response) => response.writeHead(302, { location: 'http://a.example/' }).end())
    await expect(read(url)).rejects.toThrow('without https')
  })

  it('[I8] gives up after five redirects', async () => {
    const { fetch, urls } = answers(...Array.from({ length: 9 }, () => redirect('/again')))
    await expect(read(new URL('https://a.example/'), { fetch })).rejects.toThrow('redirects too often')
    expect(urls).toHaveLength(6)
  })

  it('fails if a redirect names no address', async () => {
    const { fetch } = answers(new Response(null, { status: 302 }))
    await expect(read(new URL('https://a.example/'), { fetch })).rejects.toThrow('redirects to no address')
  })
})
