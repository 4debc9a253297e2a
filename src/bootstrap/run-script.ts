// Runs a CommonJS script from its text, with V8's code cache where there is one.
import { Module } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

export interface ScriptFile {
  readonly path: string
  readonly text: string
  /** One of another Node or another script is refused by V8, which then compiles as ever. */
  readonly cache: Buffer | undefined
}

/** @returns what the script exports */
export function runScript({ path, text, cache }: ScriptFile, load: (name: string) => unknown): unknown {
  const script = new Script(Module.wrap(text), {
    filename: path,
    ...(cache === undefined ? {} : { cachedData: cache }),
  })
  const own = { exports: {} }
  script.runInThisContext()(own.exports, load, own, path, dirname(path))
  return own.exports
}
