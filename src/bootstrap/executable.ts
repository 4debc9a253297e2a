// Starts the program from a single executable, which holds the program's files as assets.
import { join } from 'node:path'
import { getRawAsset } from 'node:sea'
import { loadAddon } from './addon.ts'
import { chooseProgram } from './choose-program.ts'
import { runScript } from './run-script.ts'

const OWN: Readonly<Record<string, () => unknown>> = {
  '@napi-rs/keyring': () => loadAddon(asset('keyring.node')),
  './clerk-backend.cjs': () => run('clerk-backend.cjs'),
  './broker-packages.cjs': () => run('broker-packages.cjs'),
  './redis.cjs': () => run('redis.cjs'),
}
const loaded = new Map<string, unknown>()

void chooseProgram(process.argv, run)

function run(name: string): unknown {
  // The path is for stack traces only: no such file is read.
  return runScript({ path: join(process.execPath, name), text: asset(name), cache: codeCache(name) }, load)
}

/** Undefined if the executable was built on another system than it is for: a code cache fits one system only. */
function codeCache(name: string): Buffer | undefined {
  try {
    return asset(name.replace(/cjs$/, 'cache'))
  } catch {
    return undefined
  }
}

function asset(name: string): Buffer {
  return Buffer.from(getRawAsset(name) as ArrayBuffer) // not copied; the declared type is wrong about a string
}

/** Loads Node's own modules and the executable's assets. Never runs a file from the disk. */
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
