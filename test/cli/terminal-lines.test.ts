// Lines from a terminal in raw mode: editing, signals, long pasted texts, and what restores the terminal.
import { EventEmitter } from 'node:events'
import type { ReadStream } from 'node:tty'
import { describe, expect, it, onTestFinished } from 'vitest'
import { readTerminalLines } from '../../src/cli/terminal-lines.ts'

/** A terminal that remembers its mode. */
class Terminal extends EventEmitter {
  isRaw = false
  isReading = true
  setRawMode(isRaw: boolean): this {
    this.isRaw = isRaw
    return this
  }
  setEncoding(): this {
    return this
  }
  pause(): this {
    this.isReading = false
    return this
  }
  unref(): this {
    return this
  }
}

function newTerminal() {
  const terminal = new Terminal()
  const [lines, lengths, signals]: [string[], number[], string[]] = [[], [], []]
  const stop = readTerminalLines(terminal as unknown as ReadStream, {
    onLine: (line) => lines.push(line),
    onTyped: (length) => lengths.push(length),
    signal: (name) => signals.push(name),
  })
  onTestFinished(stop)
  return { terminal, lines, lengths, signals, stop, type: (text: string) => terminal.emit('data', text) }
}

describe('a line', () => {
  it('may be longer than the 4,096 bytes of a terminal, in any number of parts', () => {
    const { type, lines } = newTerminal()
    const long = 'x'.repeat(50_000)
    for (let i = 0; i < long.length; i += 1000) type(long.slice(i, i + 1000))
    type('\r')
    expect(lines).toEqual([long])
  })

  it('ends with Enter, several at once', () => {
    const { type, lines } = newTerminal()
    type('one\rtwo\nthree')
    expect(lines).toEqual(['one', 'two'])
    type('\r')
    expect(lines).toEqual(['one', 'two', 'three'])
  })

  it('can be corrected and cleared, and arrow keys and the marks of a pasted text are no part of it', () => {
    const { type, lines } = newTerminal()
    type('abx\x7f\bcd\r')
    type('wrong\x15right\r')
    type('\x1b[200~pas\x1b[Dted\x1bOA\x1b[201~\t\r')
    expect(lines).toEqual(['acd', 'right', 'pasted'])
  })

  it('is not shown, only its length', () => {
    const { type, lengths } = newTerminal()
    type('secret')
    expect(lengths.at(-1)).toBe(6)
    type('\r')
    expect(lengths.at(-1)).toBe(0)
  })
})

describe('the terminal', () => {
  it('is raw while lines are read, and restored at the end', () => {
    const { terminal, stop } = newTerminal()
    expect(terminal.isRaw).toBe(true)
    stop()
    expect(terminal).toMatchObject({ isRaw: false, isReading: false })
  })

  it('is restored if the program exits in between', () => {
    const before = process.listeners('exit')
    const { terminal } = newTerminal()
    const added = process.listeners('exit').filter((listener) => !before.includes(listener))
    for (const listener of added) listener.call(process, 0)
    expect(terminal.isRaw).toBe(false)
  })

  it('is restored while the program is suspended, and raw again afterwards', () => {
    const { terminal, type, signals } = newTerminal()
    type('\x1a')
    expect(signals).toEqual(['SIGTSTP'])
    expect(terminal.isRaw).toBe(false)
    process.emit('SIGCONT')
    expect(terminal.isRaw).toBe(true)
  })

  it('still sends an interrupt', () => {
    const { type, signals } = newTerminal()
    type('a\x03')
    type('\x1c')
    expect(signals).toEqual(['SIGINT', 'SIGINT'])
  })

  it('is left at the end of the input', () => {
    const { terminal, type } = newTerminal()
    type('\x04')
    expect(terminal.isRaw).toBe(false)
  })
})
