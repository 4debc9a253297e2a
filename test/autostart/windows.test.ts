// The Run key of Windows: its command line for any path, the PE header, the exported registry file, and a start that fails.
import { describe, expect, it } from 'vitest'
import { exportedValue, isWindowed, RunKey, runLine, runWords } from '../../src/autostart/windows.ts'
import { existingLaunch, fakeMachine, fakeRegistry, launchFrom, SPECIAL_NAMES } from '../support/service.ts'

const CONHOST = 'C:\\Windows\\System32\\conhost.exe'

describe('the command line for the Run key', () => {
  it('hides the console window of a script, and starts a windowed program directly', () => {
    const node = 'C:\\Program Files\\nodejs\\node.exe'
    const script = { command: [node, 'C:\\app\\cadzero-auth.cjs'], env: {} }
    expect(runLine(script, CONHOST)).toBe(`${CONHOST} --headless "${node}" C:\\app\\cadzero-auth.cjs daemon`)
    const windowed = { command: ['C:\\my app\\cadzero-auth.exe'], env: { CADZERO_AUTH_HOME: 'D:\\a b\\' } }
    expect(runLine(windowed, undefined)).toBe('"C:\\my app\\cadzero-auth.exe" daemon --home "D:\\a b\\\\"')
  })

  it.each(SPECIAL_NAMES)('keeps a path with %s in it', (name) => {
    const command = [`C:\\${name}\\node.exe`, `\\\\server\\${name}\\\\cadzero-auth.cjs`]
    for (const conhost of [CONHOST, undefined]) {
      expect(runWords(runLine({ command, env: {} }, conhost))).toEqual([...command, 'daemon'])
    }
  })

  it('is refused if Windows would ignore it because of its length', () => {
    expect(() => runLine(launchFrom(`C:\\${'x'.repeat(90)}`), CONHOST)).toThrow('too long for Windows')
  })
})

describe('exportedValue', () => {
  it('reads the value of cadzero-auth from an exported registry file', () => {
    const text =
      '\ufeff[HKEY_CURRENT_USER\\…\\Run]\r\n"other"="x"\r\n"cadzero-auth"="\\"C:\\\\Zoë\\\\a.exe\\" daemon"\r\n'
    expect(exportedValue(text)).toBe('"C:\\Zoë\\a.exe" daemon')
    expect(exportedValue('"other"="cadzero-auth"\r\n')).toBeUndefined()
  })
})

describe('isWindowed', () => {
  it('distinguishes a windowed program from a console program by its header', () => {
    const program = (subsystem: number) => {
      const head = Buffer.alloc(512)
      head.writeUInt32LE(128, 60)
      head.writeUInt16LE(subsystem, 128 + 92)
      return head
    }
    expect([isWindowed(program(2)), isWindowed(program(3))]).toEqual([true, false])
    expect([isWindowed(Buffer.from('#!/bin/sh')), isWindowed(Buffer.alloc(0))]).toEqual([false, false])
  })
})

describe('the Run key manager', () => {
  it('leaves nothing if Windows refuses to start the program', async () => {
    const { values, answer } = fakeRegistry()
    const machine = await fakeMachine('win32', answer)
    const manager = new RunKey({ ...machine, start: () => Promise.reject(new Error('no')) })
    await expect(manager.install(await existingLaunch())).rejects.toThrow('no')
    expect(values.size).toBe(0)
  })
})
