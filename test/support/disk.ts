// A disk in memory, for a process that is killed or loses its power at any call: what was not synced may be gone then.
import { constants } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { FileSystem } from '../../src/host/files.ts'

interface Node {
  data: Buffer
  /** What of it is on the platter. */
  synced: Buffer
  mode: number
}

type Call = 'open' | 'read' | 'write' | 'sync' | 'rename' | 'unlink'

const never = new Promise<never>(() => undefined)
const failure = (code: string) => Object.assign(new Error(code), { code })

export class Disk {
  readonly #folder: string
  #names = new Map<string, Node>()
  /** The folder's entries as they are on the platter. */
  #syncedNames = new Map<string, Node>()
  /** The error of a call, where there is to be one. */
  fault: (call: Call) => string | undefined = () => undefined

  /** @param folder the only one there is */
  constructor(folder: string) {
    this.#folder = folder
  }

  get names(): string[] {
    return [...this.#names.keys()].sort()
  }

  /** The content of a file, or undefined; with `content` it is written, with null deleted, as by somebody else, for good. */
  file(name: string, content?: Buffer | null): Buffer | undefined {
    const before = this.#names.get(name)?.data
    if (content !== undefined) {
      if (content) this.#names.set(name, { data: content, synced: content, mode: 0o600 })
      else this.#names.delete(name)
      this.#syncedNames = new Map(this.#names)
    }
    return before
  }

  /** The power goes. @param isEntryKept whether the folder's last changes had reached the platter by themselves */
  cutPower(isEntryKept: boolean): void {
    if (!isEntryKept) this.#names = new Map(this.#syncedNames)
    for (const node of this.#names.values()) node.data = node.synced
    this.#syncedNames = new Map(this.#names)
  }

  /**
   * The disk as one process sees it. Each call takes a turn of the event loop.
   * @returns `kill` ends it: no call of it does anything from then on, or returns
   */
  mount(): { files: FileSystem; kill: () => void; killAt: (calls: number, onKilled: () => void) => void } {
    let isAlive = true
    let left = Number.POSITIVE_INFINITY
    let tell: () => void = () => undefined
    const kill = () => {
      isAlive = false
      tell()
    }
    const take = async (call?: Call): Promise<void> => {
      if (isAlive && --left < 0) kill()
      if (!isAlive) return await never
      await new Promise(setImmediate)
      if (!isAlive) return await never
      const code = call && this.fault(call)
      if (code) throw failure(code)
    }
    return {
      files: this.#calls(take),
      kill,
      killAt(calls, onKilled) {
        left = calls
        tell = onKilled
      },
    }
  }

  #calls(take: (call?: Call) => Promise<void>): FileSystem {
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
        await take('read')
        return Buffer.from(node.data)
      },
      chmod: async (mode: number) => {
        node.mode = mode
      },
      writeFile: async (data: string | Uint8Array) => {
        node.data = Buffer.from(data.slice(0, data.length / 2)) // what is seen of a write that fails, or is cut off
        await take('write')
        node.data = Buffer.from(data)
      },
      sync: async () => {
        await take('sync')
        node.synced = node.data
      },
      close: async () => undefined,
    })
    const folderHandle = {
      sync: async () => {
        await take('sync')
        this.#syncedNames = new Map(this.#names)
      },
      close: async () => undefined,
    }
    const calls = {
      open: async (path: string, flags: number, mode = 0o666) => {
        await take((flags & constants.O_WRONLY) === 0 ? 'read' : 'open')
        if (path === this.#folder) return folderHandle
        if ((flags & constants.O_CREAT) !== 0) {
          this.#names.set(basename(path), { data: Buffer.alloc(0), synced: Buffer.alloc(0), mode })
        }
        return handleOf(find(path))
      },
      rename: async (from: string, to: string) => {
        await take('rename')
        this.#names.set(basename(to), find(from))
        this.#names.delete(basename(from))
      },
      unlink: async (path: string) => {
        await take('unlink')
        find(path)
        this.#names.delete(basename(path))
      },
      readdir: async () => {
        await take('read')
        return this.names
      },
      lstat: async (path: string) => {
        await take('read')
        return path === this.#folder ? folder : about(find(join(path)))
      },
    }
    return calls as unknown as FileSystem
  }
}
