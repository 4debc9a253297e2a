// Starts the program in a single executable: what lies beside the script elsewhere is in here as an asset.
import { join } from 'node:path'
import { getAsset, getRawAsset } from 'node:sea'
import { loadAddon } from './addon.ts'
import { runScript } from './run-script.ts'

const OWN: Readonly<Record<string, () => unknown>> = {
  '@napi-rs/keyring': () => loadAddon(asset('keyring.node')),
  './clerk-backend.cjs': () => run('clerk-backend.cjs'),
}
const loaded = new Map<string, unknown>()

run('program.cjs', codeCache())

function run(name: string, cache?: Buffer | undefined): unknown {
  // A name for stack traces alone: no such file is read.
  return runScript({ path: join(process.execPath, name), text: getAsset(name, 'utf8'), cache }, load)
}

/** There is one where the executable was built on the system that it is for. */
function codeCache(): Buffer | undefined {
  try {
    return asset('program.cache')
  } catch {
    return undefined
  }
}

function asset(name: string): Buffer {
  return Buffer.from(getRawAsset(name) as ArrayBuffer) // in place, not copied; its type names a string by mistake
}

/** Node's own modules and ours: nothing that lies about on the disk is ever run. */
function load(name: string): unknown {
  const own = OWN[name]
  if (own === undefined) {
    const builtin = process.getBuiltinModule(name)
    if (builtin === undefined) throw new Error(`${name} is not in this executable`)
    return builtin
  }
  if (!loaded.has(name)) loaded.set(name, own())
  return loaded.get(name)
}
