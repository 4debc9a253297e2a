// Starts the program from V8's code cache where one lies beside it: compiling half a megabyte is a fifth of a start.
import { readFileSync } from 'node:fs'
import { createRequire, Module } from 'node:module'
import { dirname, join } from 'node:path'
import { Script } from 'node:vm'

const program = join(__dirname, 'program.cjs')
const cache = readIfThere(join(__dirname, 'program.cache'))
const load = createRequire(program)

if (cache === undefined) load(program)
else {
  // A cache of another Node or another program is refused by V8, which then compiles as ever.
  const script = new Script(Module.wrap(readFileSync(program, 'utf8')), {
    filename: program,
    cachedData: cache,
  })
  const own = { exports: {} }
  script.runInThisContext()(own.exports, load, own, program, dirname(program))
}

function readIfThere(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}
