// A disk in memory, for a process that is killed or loses power at any call. A power cut discards unsynced data.
import { constants } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { FileSystem } from '../../src/host/files.ts'

interface Node {
  data: Buffer
  /** The content that survives a power cut. */
  synced: Buffer
  mode: number
}

type Call = 'open' | 'read' | 'write' | 'sync' | 'rename' | 'unlink'

/** One for each call: a promise keeps all that wait for it. */
const never = () => new Promise<never>(() => undefined)
const failure = (code: string) => Object.assign(new Error(code), { code })

export class Disk {
  readonly #folder: string
  #names = new Map<string, Node>()
  /** The directory entries that survive a power cut. */
  #syncedNames = new Map<string, Node>()
  /** The error code with which a call fails; undefined if it succeeds. */
  fault: (call: Call) => string | undefined = () => undefined

  /** @param folder the only folder of the disk */
  constructor(folder: string) {
    this.#folder = folder
  }

  get names(): string[] {
    return [...this.#names.keys()].sort()
  }

  /**
   * Returns the content of a file, or undefined.
   * @param content written durably, as by another process; null deletes the file
   */
  file(name: string, content?: Buffer | null): Buffer | undefined {
    const before = this.#names.get(name)?.data
    if (content !== undefined) {
      if (content) this.#names.set(name, { data: content, synced: content, mode: 0o600 })
      else this.#names.delete(name)
      this.#syncedNames = new Map(this.#names)
    }
    return before
  }

  /** Cuts the power. @param isEntryKept whether the last changes of the folder survive without a sync */
  cutPower(isEntryKept: boolean): void {
    if (!isEntryKept) this.#names = new Map(this.#syncedNames)
    for (const node of this.#names.values()) node.data = node.synced
    this.#syncedNames = new Map(this.#names)
  }

  /**
   * The disk for one process. Each call takes a turn of the event loop.
   * @returns `kill` kills the process: from then on no call has an effect or returns
   */
  mount(): { files: FileSystem; kill: () => void; killAt: (calls: number, onKilled: () => void) => void } {
    let isAlive = true
    let left = Number.POSITIVE_INFINITY
    let onKill: () => void = () => undefined
    const kill = () => {
      isAlive = false
      onKill()
    }
    const enter = async (call?: Call): Promise<void> => {
      if (isAlive && --left < 0) kill()
      if (!isAlive) return await never()
      await new Promise(setImmediate)
      if (!isAlive) return await never()
      const code = call && this.fault(call)
      if (code) throw failure(code)
    }
    return {
      files: this.#calls(enter),
      kill,
      killAt(calls, onKilled) {
        left = calls
        onKill = onKilled
      },
    }
  }

  #calls(enter: (call?: Call) => Promise<void>): FileSystem {
    const find = (path: string) => {
      const node = dirname(path) === this.#folder ? this.#names.get(basename(path)) : undefined
      if (!node) throw failure('ENOENT')
      return node
    }
    const folder = { isDirectory: () => true, isFile: () => false, uid: process.getuid?.(), mode: 0o40700, nlink: 1 }
    const about = (node: Node) => ({
      isDirectory: () => false,
      isFile: () => true,
      uid: process.getuid?.(),
      mode: 0o100000 | node.mode,
      nlink: 1,
      size: node.data.length,
    })
    const handleOf = (node: Node) => ({
      stat: async () => about(node),
      readFile: async () => {
        await enter('read')
        return Buffer.from(node.data)
      },
      chmod: async (mode: number) => {
        node.mode = mode
      },
      writeFile: async (data: string | Uint8Array) => {
        node.data = Buffer.from(data.slice(0, data.length / 2)) // the effect of a write that fails or is interrupted
        await enter('write')
        node.data = Buffer.from(data)
      },
      sync: async () => {
        await enter('sync')
        node.synced = node.data
      },
      close: async () => undefined,
    })
    const folderHandle = {
      sync: async () => {
        await enter('sync')
        this.#syncedNames = new Map(this.#names)
      },
      close: async () => undefined,
    }
    const calls = {
      open: async (path: string, flags: number, mode = 0o666) => {
        await enter((flags & constants.O_WRONLY) === 0 ? 'read' : 'open')
        if (path === this.#folder) return folderHandle
        if ((flags & constants.O_CREAT) !== 0) {
          this.#names.set(basename(path), { data: Buffer.alloc(0), synced: Buffer.alloc(0), mode })
        }
        return handleOf(find(path))
      },
      rename: async (from: string, to: string) => {
        await enter('rename')
        this.#names.set(basename(to), find(from))
        this.#names.delete(basename(from))
      },
      unlink: async (path: string) => {
        await enter('unlink')
        find(path)
        this.#names.delete(basename(path))
      },
      readdir: async () => {
        await enter('read')
        return this.names
      },
      lstat: async (path: string) => {
        await enter('read')
        return path === this.#folder ? folder : about(find(join(path)))
      },
    }
    return calls as unknown as FileSystem
  }
}
