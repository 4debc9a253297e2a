// The address of the callback, pasted into a real terminal: however long, and the terminal is as before in every case.
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it, onTestFinished } from 'vitest'
import { environment, PROGRAM } from '../support/program.ts'
import { newWorld } from '../support/world.ts'

const TERMINAL = fileURLToPath(new URL('terminal.py', import.meta.url))
const hasPython = process.platform === 'linux' && spawnSync('python3', ['-c', 'import pty']).status === 0
const skipped = hasPython ? '' : ' (skipped: needs Linux and python3)'
const test = (title: string, action: () => Promise<void>) => it.skipIf(!hasPython)(`${title}${skipped}`, action, 60_000)

interface Event {
  readonly output?: string
  readonly mode?: 'raw' | 'line'
  readonly stopped?: boolean
  readonly ended?: number
}

/** `cadzero-auth login --no-browser` in a terminal. */
async function login() {
  const world = await newWorld()
  const { home, env } = world
  const command = [process.execPath, PROGRAM, 'login', '--no-browser']
  const child = spawn('python3', [TERMINAL, ...command], {
    env: environment({ home, env }),
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  const exited = once(child, 'exit')
  onTestFinished(async () => {
    child.stdin.end()
    await exited
  })
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
  let output = ''
  /** Resolves with the first event that fits. */
  const until = async (fits: (event: Event) => boolean): Promise<Event> => {
    for (;;) {
      const { value, done } = await lines.next()
      if (done) throw new Error(`the terminal has ended: ${output}`)
      const event = JSON.parse(value) as Event
      output += event.output ?? ''
      if (fits(event)) return event
    }
  }
  const tell = (command: object) => void child.stdin.write(`${JSON.stringify(command)}\n`)
  await until(() => /http:[\s\S]*Waiting/.test(output))
  const [link = ''] = /http:\S+/.exec(output) ?? []
  return {
    ...world,
    link,
    output: () => output,
    type: (text: string) => tell({ type: text }),
    signal: (name: NodeJS.Signals) => tell({ signal: constants.signals[name] }),
    mode: async () => {
      tell({ mode: true })
      return (await until(({ mode }) => mode !== undefined)).mode
    },
    stopped: () => until(({ stopped }) => stopped === true),
    ended: () => until(({ ended }) => ended !== undefined),
  }
}

describe('a pasted address', () => {
  for (const [name, lengthen] of [
    ['as it is', (url: string) => url],
    ['upgraded to https', (url: string) => url.replace('http:', 'https:')],
    ['of 20,000 characters', (url: string) => `${url}&x=${'y'.repeat(20_000 - url.length)}`],
  ] as const) {
    test(`signs in, ${name}`, async () => {
      const { sandbox, link, type, ended, output, client } = await login()
      const { callbackUrl } = await sandbox.signIn(link, { deliver: false })
      type(`${lengthen(callbackUrl)}\r`)
      expect(await ended()).toEqual({ ended: 0, mode: 'line' })
      expect(output()).toContain('signed in as')
      expect(output()).not.toContain(new URL(callbackUrl).searchParams.get('code'))
      expect(await client.call('status')).toMatchObject({ state: 'signed_in' })
    })
  }
})

describe('the terminal', () => {
  test('is restored after Ctrl-C, which cancels the sign-in', async () => {
    const { type, ended, mode, client } = await login()
    expect(await mode()).toBe('raw')
    type('\x03')
    expect(await ended()).toEqual({ ended: 1, mode: 'line' })
    expect(await client.call('status')).toMatchObject({ state: 'signed_out' })
  })

  test('is restored after SIGTERM', async () => {
    const { signal, ended } = await login()
    signal('SIGTERM')
    expect(await ended()).toMatchObject({ mode: 'line' })
  })

  test('is restored while the command is suspended, and raw again afterwards', async () => {
    const { type, signal, stopped, mode, ended } = await login()
    type('\x1a')
    expect(await stopped()).toMatchObject({ mode: 'line' })
    signal('SIGCONT')
    await expect.poll(mode, { timeout: 10_000 }).toBe('raw')
    type('\x03')
    expect(await ended()).toMatchObject({ mode: 'line' })
  })
})
