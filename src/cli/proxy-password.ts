// `cadzero-auth config proxy-password`: saves the password of the proxy in config.json in the keyring, or removes it.
import type { ReadStream } from 'node:tty'
import { loadConfig } from '../config/config.ts'
import { StoreError } from '../store/errors.ts'
import { proxyUser, systemProxyPassword } from '../store/proxy-password.ts'
import type { Context } from './context.ts'
import { CommandError, UsageError } from './failure.ts'
import { note, print } from './terminal.ts'
import { readTerminalLines } from './terminal-lines.ts'

const LONGEST = 1024 // characters; Windows limits an entry to 2,560 bytes

/** @throws UsageError, CommandError, ConfigurationError */
export async function proxyPassword({ host, folders }: Context, { remove }: { remove?: boolean }): Promise<void> {
  const { proxy } = await loadConfig(host.files, folders.configFile, process.env)
  const user = proxyUser(proxy)
  if (user === undefined) {
    const hint = `set proxy in ${folders.configFile} to http://USER@HOST:PORT first`
    throw new UsageError('config.json names no proxy with a user', hint)
  }
  const saved = systemProxyPassword(host.clock)
  const place = `${decodeURIComponent(user)} at ${new URL(proxy).host}`
  try {
    if (remove) return print(`${(await saved.remove(proxy)) ? 'removed the' : 'there is no'} password of ${place}`)
    await saved.save(proxy, await readPassword(place))
  } catch (error) {
    throw error instanceof StoreError ? keyringFailure(error) : error
  }
  print(`saved the password of ${place} in the keyring; the daemon uses it from its next request on`)
}

function keyringFailure({ code }: StoreError): CommandError {
  if (code === 'key_locked') return new CommandError('the keyring is locked', 'unlock it and try again')
  // While config.json names a proxy, the environment is not asked.
  const hint =
    'remove proxy from config.json, set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT, then run cadzero-auth daemon --stop'
  return new CommandError('this system has no usable keyring', hint)
}

/** A line from the terminal, which is not shown, or all of standard input without its last line break. @throws UsageError */
async function readPassword(place: string): Promise<string> {
  const { stdin } = process
  const text = stdin.isTTY ? await readHidden(stdin, place) : await readAll(stdin)
  if (text !== '' && text.length <= LONGEST && !text.includes('\n')) return text
  throw new UsageError('standard input has no password', 'type it, or pass it as one line through a pipe')
}

async function readHidden(stdin: ReadStream, place: string): Promise<string> {
  note(`password of ${place} (it is not shown):`)
  let stop: () => void = () => undefined
  const line = await new Promise<string>((resolve) => {
    const signal = (name: NodeJS.Signals) => process.kill(process.pid, name)
    stop = readTerminalLines(stdin, { onLine: resolve, onTyped: () => undefined, signal })
  })
  stop()
  return line
}

async function readAll(stdin: NodeJS.ReadStream): Promise<string> {
  let text = ''
  for await (const chunk of stdin.setEncoding('utf8')) {
    text += chunk
    if (text.length > 2 * LONGEST) break
  }
  return text.replace(/\r?\n$/, '')
}
