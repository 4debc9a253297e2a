// Who this installation is: a random id in its own data folder, so that it can tell its sessions from those of another one.
//
// Config folders roam, are synchronised and restored; data folders stay. Two installations may so share a session file, and
// neither must overwrite, delete or revoke what the other one keeps there.
import { join } from 'node:path'
import * as v from 'valibot'
import { type FileSystem, readPrivateFile, writePrivateFile } from '../host/files.ts'
import { type Random, randomText } from '../host/random.ts'
import { storeErrorOf } from './errors.ts'

export interface Installation {
  readonly id: string
  /** The host name and the data folder, for people: `laptop:/home/ada/.local/share/cadzero-auth`. */
  readonly place: string
}

const LARGEST_FILE = 1024 // bytes
const schema = v.object({ id: v.pipe(v.string(), v.regex(/^[A-Za-z0-9_-]{22}$/)) })

export interface InstallationOptions {
  readonly files: FileSystem
  readonly random: Random
  /** The data folder. It exists and is private. */
  readonly dataFolder: string
  readonly hostName: string
}

/**
 * Reads the id of this installation, or creates one if there is none or it is damaged: the sessions that were saved with the
 * lost id are recognised by their place and their key.
 * @throws StoreError if the file can be neither read nor written
 */
export async function loadInstallation(options: InstallationOptions): Promise<Installation> {
  const { files, random, dataFolder, hostName } = options
  const path = join(dataFolder, 'installation.json')
  const place = `${hostName}:${dataFolder}`
  try {
    const text = (await readPrivateFile(files, path, LARGEST_FILE))?.toString('utf8')
    const known = text === undefined ? undefined : parseId(text)
    if (known !== undefined) return { id: known, place }
    const id = randomText(random, 16)
    await writePrivateFile(files, path, JSON.stringify({ id }))
    return { id, place }
  } catch (error) {
    throw storeErrorOf(error)
  }
}

function parseId(text: string): string | undefined {
  try {
    return v.parse(schema, JSON.parse(text)).id
  } catch {
    return undefined
  }
}
