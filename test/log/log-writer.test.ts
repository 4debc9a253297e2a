// The log file on a disk that is full, hangs or loses the folder: lines wait, their loss is said, and the log comes back.
import { execFileSync } from 'node:child_process'
import { type FileHandle, mkdir, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { type FileSystem, systemFiles } from '../../src/host/files.ts'
import { LogWriter } from '../../src/log/log-writer.ts'
import { TestClock } from '../support/clock.ts'
import { temporaryFolder } from '../support/folder.ts'
import { isWindows, needs } from '../support/posix.ts'

/** A disk with room for so many bytes more. As a real one, it takes the part of a line for which there is room. */
class FullDisk {
  room = Number.POSITIVE_INFINITY
  /** Resolves when the disk goes on. */
  hang: Promise<void> | undefined
  /** Thrown in place of what a handle is. */
  statError: Error | undefined
  writes = 0
  readonly handles: FileHandle[] = []

  get files(): FileSystem {
    const open = async (...args: Parameters<FileSystem['open']>) => {
      const handle = await systemFiles.open(...args)
      const write = async (bytes: Buffer, offset: number) => {
        this.writes++
        await this.hang
        if (this.room <= 0) throw Object.assign(new Error('full'), { code: 'ENOSPC' })
        const { bytesWritten } = await systemFiles.open(args[0], 'a').then(async (real) => {
          try {
            return await real.write(bytes.subarray(offset, offset + Math.min(this.room, bytes.length)))
          } finally {
            await real.close()
          }
        })
        this.room -= bytesWritten
        return { bytesWritten, buffer: bytes }
      }
      const found = handle.stat.bind(handle)
      const stat = async () => {
        if (this.statError !== undefined) throw this.statError
        return await found()
      }
      this.handles.push(handle)
      return Object.assign(handle, { write, stat })
    }
    return { ...systemFiles, open: open as FileSystem['open'] }
  }
}

async function newWriter() {
  const folder = join(await temporaryFolder(), 'log')
  await mkdir(folder, { mode: 0o700 })
  const [disk, clock] = [new FullDisk(), new TestClock()]
  const writer: LogWriter = new LogWriter({
    folder,
    files: disk.files,
    clock,
    onLost: (lines) => writer.write(`lost ${lines}\n`),
  })
  const text = () => readFile(join(folder, 'daemon.log'), 'utf8')
  /** Writes a line when the writer may try again, and waits for the end of the attempt. */
  const write = async (line: string) => {
    clock.advance(1)
    writer.write(line)
    await writer.settled()
  }
  return { folder, disk, clock, writer, text, write }
}

describe('LogWriter on a full disk', () => {
  it('writes the lines that waited, in order and whole, once there is room again', async () => {
    const { disk, write, writer, text } = await newWriter()
    await write('one\n')
    disk.room = 2
    for (const line of ['two\n', 'three\n', 'four\n']) await write(line)
    expect(await text()).toBe('one\ntw')
    disk.room = 1000
    await write('five\n')
    expect(await text()).toBe('one\ntwo\nthree\nfour\nfive\n')
    await writer.close()
  })

  it('keeps a megabyte of lines, and says how many more were lost', async () => {
    const { disk, write, writer, clock, text } = await newWriter()
    disk.room = 0
    const line = `${'x'.repeat(99_999)}\n`
    for (let i = 0; i < 25; i++) writer.write(line)
    await writer.settled()
    disk.room = Number.POSITIVE_INFINITY
    clock.advance(1)
    await write('after\n')
    await writer.settled()
    expect((await text()).split('\n').map((one) => (one.length > 20 ? 'x' : one))).toEqual([
      ...Array(10).fill('x'),
      'after',
      'lost 15',
      '',
    ])
    await writer.close()
  })

  it('tries again after half a minute without a new line', async () => {
    const { disk, write, writer, clock, text } = await newWriter()
    disk.room = 0
    await write('one\n')
    disk.room = 1000
    clock.advance(29)
    await writer.settled()
    expect(await text()).toBe('')
    clock.advance(1)
    await writer.settled()
    expect(await text()).toBe('one\n')
    await writer.close()
  })

  it('tries ten times a second at most, however many lines come', async () => {
    const { disk, writer, clock } = await newWriter()
    disk.room = 0
    writer.write('one\n')
    await writer.settled()
    const { writes } = disk
    for (let i = 0; i < 1000; i++) writer.write('more\n')
    await writer.settled()
    expect(disk.writes).toBe(writes)
    clock.advance(0.1)
    writer.write('again\n')
    await writer.settled()
    expect(disk.writes).toBe(writes + 1)
  })

  it('tries once more when it is closed', async () => {
    const { disk, write, writer, text } = await newWriter()
    disk.room = 0
    await write('one\n')
    disk.room = 1000
    await writer.close()
    expect(await text()).toBe('one\n')
  })

  it('is closed although the disk is still full', async () => {
    const { disk, write, writer } = await newWriter()
    disk.room = 0
    await write('one\n')
    await writer.close()
  })
})

it('a log on a disk that hangs is closed after two seconds, and its lines do not fill the memory', async () => {
  const { disk, clock, writer } = await newWriter()
  let goOn: () => void = () => undefined
  disk.hang = new Promise((resolve) => {
    goOn = resolve
  })
  for (let i = 0; i < 100; i++) writer.write(`${'x'.repeat(100_000)}\n`)
  let isClosed = false
  const closed = writer.close().then(() => {
    isClosed = true
  })
  clock.advance(1.9)
  await new Promise(setImmediate)
  expect(isClosed).toBe(false)
  clock.advance(0.1)
  await closed
  goOn()
  await writer.settled()
  await expect.poll(() => disk.handles.map(({ fd }) => fd)).toEqual([-1])
})

describe('LogWriter without its file', () => {
  it('leaves no file open that it could not look at, which would end the process', async () => {
    const { disk, write, writer, text } = await newWriter()
    disk.statError = Object.assign(new Error('stale'), { code: 'ESTALE' })
    await write('one\n')
    expect(disk.handles.map(({ fd }) => fd)).toEqual([-1])
    disk.statError = undefined
    await write('two\n')
    expect(await text()).toBe('one\ntwo\n')
    await writer.close()
  })

  it('makes a removed folder again, private, and loses no line', async () => {
    const { folder, write, writer, text } = await newWriter()
    await write('one\n')
    await rm(folder, { recursive: true })
    await write('two\n')
    expect(await text()).toBe('two\n')
    if (process.platform !== 'win32') expect((await stat(folder)).mode & 0o777).toBe(0o700)
    await writer.close()
  })

  it('goes on in a new file if another program has renamed the old one', async () => {
    const { folder, write, writer, text } = await newWriter()
    await write('one\n')
    await rename(join(folder, 'daemon.log'), join(folder, 'moved'))
    await write('two\n')
    expect(await text()).toBe('two\n')
    expect(await readFile(join(folder, 'moved'), 'utf8')).toBe('one\n')
    await writer.close()
  })

  it.skipIf(isWindows)(`waits if something else is in its place, and does not hang${needs('a FIFO')}`, async () => {
    const { folder, write, writer, text } = await newWriter()
    const path = join(folder, 'daemon.log')
    execFileSync('mkfifo', [path])
    await write('one\n')
    await rm(path)
    await mkdir(path)
    await write('two\n')
    await rm(path, { recursive: true })
    await write('three\n')
    expect(await text()).toBe('one\ntwo\nthree\n')
    await writer.close()
  })

  it('makes no file if there is no line', async () => {
    const { folder, writer } = await newWriter()
    await writer.close()
    expect(await readdir(folder)).toEqual([])
  })
})
