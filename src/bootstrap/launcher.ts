// Starts the program, from V8's code cache if there is one: compiling half a megabyte is a fifth of a start.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { runScript } from './run-script.ts'

const program = join(__dirname, 'program.cjs')
const cache = readIfPresent(join(__dirname, 'program.cache'))
const load = createRequire(program)

if (cache === undefined) load(program)
else runScript({ path: program, text: readFileSync(program, 'utf8'), cache }, load)

function readIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}
