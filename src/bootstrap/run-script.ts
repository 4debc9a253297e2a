// Runs a CommonJS script from its text, with V8's code cache if there is one.
import { Module } from 'node:module'
import { dirname } from 'node:path'
import { Script } from 'node:vm'

export interface ScriptFile {
  readonly path: string
  readonly text: string
  /** V8 rejects the cache of another script or another Node, and then compiles as usual. */
  readonly cache?: Buffer | undefined
}

/** @returns what the script exports */
export function runScript({ path, text, cache }: ScriptFile, load: (name: string) => unknown): unknown {
  const script = new Script(Module.wrap(text), {
    filename: path,
    ...(cache === undefined ? {} : { cachedData: cache }),
  })
  const module = { exports: {} }
  script.runInThisContext()(module.exports, load, module, path, dirname(path))
  return module.exports
}
