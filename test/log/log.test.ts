// The log: lines wait until the file is opened, keep their order, and have the fields of a closed list.
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { systemClock } from '../../src/host/clock.ts'
import { systemFiles } from '../../src/host/files.ts'
import type { LogLevel } from '../../src/log/fields.ts'
import { createLog, profileLog } from '../../src/log/log.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

async function newLog(level: LogLevel = 'info', folder?: string) {
  folder ??= await temporaryFolder()
  const path = join(folder, 'daemon.log')
  const lines = async () => {
    const text = await readFile(path, 'utf8').catch(() => '') // without a line there is no file
    return text
      .split('\n')
      .filter((line) => line !== '')
      .map((line) => JSON.parse(line))
  }
  return { folder, path, log: createLog({ folder, level, files: systemFiles, clock: systemClock }), lines }
}

describe('createLog', () => {
  it('opens no file before it is told to', async () => {
    const { log, folder } = await newLog()
    log.info('started')
    expect(await readdir(folder)).toEqual([])
    log.open()
    await log.close()
    expect(await readdir(folder)).toContain('daemon.log')
  })

  it('writes the lines from before and after the file was opened, in order', async () => {
    const { log, lines } = await newLog()
    log.info('one')
    log.warn('two')
    log.open()
    log.error('three')
    await log.close()
    expect((await lines()).map(({ event }) => event)).toEqual(['one', 'two', 'three'])
  })

  it('opens the file to close it, so that no line is lost', async () => {
    const { log, lines } = await newLog()
    log.error('stopped')
    await log.close()
    expect(await lines()).toHaveLength(1)
  })

  it('writes the time, the level, the event and its fields, and nothing else', async () => {
    const { log, lines } = await newLog()
    log.warn('refresh_failed', { profile: 'production', reason: 'network' })
    await log.close()
    expect(await lines()).toEqual([
      {
        level: 40,
        time: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:.]+Z$/),
        profile: 'production',
        reason: 'network',
        event: 'refresh_failed',
      },
    ])
  })

  it.each([
    ['debug', ['debug', 'info', 'warn', 'error']],
    ['info', ['info', 'warn', 'error']],
    ['error', ['error']],
    ['silent', []],
  ] as const)('writes at level %s the events %j', async (level, events) => {
    const { log, lines } = await newLog(level)
    for (const event of ['debug', 'info', 'warn', 'error'] as const) log[event](event)
    await log.close()
    expect((await lines()).map(({ event }) => event)).toEqual(events)
  })

  it.skipIf(isWindows)(`makes a file that only its owner may access${needs('file modes')}`, async () => {
    const { log, path } = await newLog()
    log.info('started')
    await log.close()
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it('rotates the file at one megabyte and keeps three rotated ones', async () => {
    const folder = await temporaryFolder()
    const reason = 'x'.repeat(100_000)
    for (let run = 0; run < 6; run++) {
      const { log } = await newLog('info', folder)
      for (let line = 0; line < 10; line++) log.info('long', { reason })
      await log.close()
    }
    const names = (await readdir(folder)).sort()
    expect(names).toEqual(['daemon.log', 'daemon.log.1', 'daemon.log.2', 'daemon.log.3'])
    for (const name of names) {
      expect((await stat(join(folder, name))).size, name).toBeLessThan(1_200_000)
      const lines = (await readFile(join(folder, name), 'utf8')).trimEnd().split('\n')
      for (const line of lines) expect(JSON.parse(line)).toMatchObject({ event: 'long' })
    }
  })
})

describe('profileLog', () => {
  it('adds the profile to every line', async () => {
    const { log, lines } = await newLog()
    const { info, warn, error } = profileLog(log, 'staging')
    info('signed_in')
    warn('refresh_failed', { reason: 'network' })
    error('not_saved', { reason: 'disk_full' })
    await log.close()
    expect((await lines()).map(({ event, profile, reason }) => [event, profile, reason])).toEqual([
      ['signed_in', 'staging', undefined],
      ['refresh_failed', 'staging', 'network'],
      ['not_saved', 'staging', 'disk_full'],
    ])
  })
})
