// `cadzero-auth import-legacy`: takes the session over from the plain token file of an older add-in, and removes that file.
import { resolve } from 'node:path'
import { errorCode, FileError, readOwnFile, wipeFile } from '../host/files.ts'
import { errors, type Result, RpcError } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileOf, withDaemon } from './context.ts'
import { CommandError } from './failure.ts'
import { note, print, printJson } from './terminal.ts'

const LARGEST_FILE = 64 * 1024
const LONGEST_TEXT = 320

interface LegacyFile {
  readonly token: string
  readonly sessionId: string | null
  readonly user: { readonly id: string | null; readonly email: string | null; readonly name: string | null }
}

/** @throws CommandError where the file is left alone; it then says why */
export async function importLegacy(context: Context, file: string, options: CommonOptions): Promise<void> {
  const path = resolve(file)
  const content = await read(context, path)
  const legacy = parseLegacyFile(content.toString('utf8'))
  if (!legacy) {
    throw new CommandError(
      `${path} is not a token file of CADZERO; it was left alone`,
      'name the .auth_token.json of the add-in',
    )
  }
  const { imported } = await withDaemon(context, options, (client) =>
    client.call('importSession', { ...profileOf(options), ...legacy }).catch(leftAlone),
  )
  const removed = await wipeFile(context.host.files, path, content).catch(() => false)
  if (options.json) printJson({ imported, removed })
  else print(SAID[imported])
  if (!removed) {
    throw new CommandError(
      `${path} could not be removed`,
      'the add-in may be writing it; delete it yourself: it holds a token in plain text',
    )
  }
  note(`${path} was overwritten and removed`)
}

const SAID: Readonly<Record<Result<'importSession'>['imported'], string>> = {
  session: 'the session was taken over; nobody has to sign in',
  user: 'its token has expired; sign in once more with: cadzero-auth login',
  nothing: 'there was nothing in it to take over',
}

async function read({ host }: Context, path: string): Promise<Buffer> {
  try {
    const content = await readOwnFile(host.files, path, LARGEST_FILE, false)
    if (content) return content
  } catch (error) {
    if (error instanceof FileError || errorCode(error) === undefined) throw error
  }
  throw new CommandError(`${path} cannot be read`, 'name the .auth_token.json of the add-in')
}

function leftAlone(error: unknown): never {
  const isForeign = error instanceof RpcError && error.code === errors.signInFailed.code
  if (!isForeign) throw error
  throw new CommandError(
    'its token is not one that this profile’s Clerk has issued to that person; the file was left alone',
    'name the profile that it belongs to with --profile, or delete the file and sign in',
  )
}

/** The six keys that the add-in wrote, or undefined where it is another file. */
export function parseLegacyFile(text: string): LegacyFile | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { token, session_id, user_id, user_email, user_name } = value as Record<string, unknown>
  if (typeof token !== 'string' || token === '' || token.length > 16 * 1024) return undefined
  return {
    token,
    sessionId: short(session_id),
    user: { id: short(user_id), email: short(user_email), name: short(user_name) },
  }
}

function short(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST_TEXT ? value : null
}
