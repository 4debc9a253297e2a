// Loads a configuration that the test writes.
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Config, loadConfig } from '../../src/config/config.ts'
import { systemFiles } from '../../src/host/files.ts'
import { temporaryFolder } from './folder.ts'

/** The configuration of a file with this content: a text, or an object that is written as JSON. Undefined for no file. */
export async function loadContent(content: unknown, env: NodeJS.ProcessEnv = {}): Promise<Config> {
  const path = join(await temporaryFolder(), 'config.json')
  if (content !== undefined) await writeFile(path, typeof content === 'string' ? content : JSON.stringify(content))
  return await loadConfig(systemFiles, path, env)
}
