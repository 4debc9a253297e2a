// Starts the program, from V8's code cache if there is one: compiling is a third of a start.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { chooseProgram } from './choose-program.ts'
import { runScript } from './run-script.ts'

void chooseProgram(process.argv, (name) => {
  const path = join(__dirname, name)
  const cache = readIfPresent(path.replace(/cjs$/, 'cache'))
  const load = createRequire(path)
  return cache === undefined ? load(path) : runScript({ path, text: readFileSync(path), cache }, load)
})

function readIfPresent(path: string): Buffer | undefined {
  try {
    return readFileSync(path)
  } catch {
    return undefined
  }
}
