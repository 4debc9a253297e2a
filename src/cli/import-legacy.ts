// `cadzero-auth import-legacy`: imports the session from the plain-text token file of an older add-in, and removes the file.
import { resolve } from 'node:path'
import { errorCode, FileError, readOwnFile, wipeFile } from '../host/files.ts'
import { errors, type Result, RpcError } from '../rpc/contract.ts'
import { type CommonOptions, type Context, profileParams } from './context.ts'
import { withDaemon } from './daemon-connection.ts'
import { CommandError } from './failure.ts'
import { note, print, printJson } from './terminal.ts'

const LARGEST_FILE_BYTES = 64 * 1024
const LONGEST_TOKEN = 16 * 1024
const LONGEST_TEXT = 320

const NAME_THE_FILE = 'pass the path of the add-in’s .auth_token.json'

interface LegacyFile {
  readonly token: string
  readonly sessionId: string | null
  readonly user: { readonly id: string | null; readonly email: string | null; readonly name: string | null }
}

/** @throws CommandError if the file is not imported, or cannot be removed */
export async function importLegacy(context: Context, file: string, options: CommonOptions): Promise<void> {
  const path = resolve(file)
  const content = await read(context, path)
  const legacy = parseLegacyFile(content.toString('utf8'))
  if (!legacy) {
    throw new CommandError(`${path} is not a token file of CADZERO; it is unchanged`, NAME_THE_FILE)
  }
  const { imported } = await withDaemon(context, options, (client) =>
    client.call('importSession', { ...profileParams(options), ...legacy }).catch(explainForeignToken),
  )
  const removed = await wipeFile(context.host.files, path, content).catch(() => false)
  if (options.json) printJson({ imported, removed })
  else print(RESULTS[imported])
  if (!removed) {
    throw new CommandError(
      `${path} could not be removed`,
      'close the add-in, which may be writing it, and delete the file: it holds a token in plain text',
    )
  }
  note(`${path} is overwritten and removed`)
}

const RESULTS: Readonly<Record<Result<'importSession'>['imported'], string>> = {
  session: 'the session is imported; you are signed in',
  user: 'the token has expired; run cadzero-auth login to sign in again',
  nothing: 'nothing is imported: a session exists already, or the file names no user',
}

async function read({ host }: Context, path: string): Promise<Buffer> {
  try {
    const content = await readOwnFile(host.files, path, LARGEST_FILE_BYTES, false)
    if (content) return content
  } catch (error) {
    if (error instanceof FileError || errorCode(error) === undefined) throw error
  }
  throw new CommandError(`${path} cannot be read`, NAME_THE_FILE)
}

/** @throws CommandError if the token is another user's or another Clerk instance's, otherwise the error */
function explainForeignToken(error: unknown): never {
  const isForeign = error instanceof RpcError && error.code === errors.signInFailed.code
  if (!isForeign) throw error
  throw new CommandError(
    'the profile’s Clerk instance has not issued this token to this user; the file is unchanged',
    'select the right profile with --profile, or delete the file and run cadzero-auth login',
  )
}

/** The token and the user of an add-in's file; undefined if it is another file. */
export function parseLegacyFile(text: string): LegacyFile | undefined {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return undefined
  }
  if (typeof value !== 'object' || value === null) return undefined
  const { token, session_id, user_id, user_email, user_name } = value as Record<string, unknown>
  if (typeof token !== 'string' || token === '' || token.length > LONGEST_TOKEN) return undefined
  return {
    token,
    sessionId: shortText(session_id),
    user: { id: shortText(user_id), email: shortText(user_email), name: shortText(user_name) },
  }
}

function shortText(value: unknown): string | null {
  return typeof value === 'string' && value !== '' && value.length <= LONGEST_TEXT ? value : null
}
