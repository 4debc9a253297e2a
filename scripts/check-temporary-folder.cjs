// Says in a sentence that no temporary files can be made. It runs without tsx, which needs some itself and would end with a stack.
const { mkdtempSync, rmdirSync } = require('node:fs')
const { tmpdir } = require('node:os')
const { join } = require('node:path')

try {
  rmdirSync(mkdtempSync(join(tmpdir(), 'cadzero-auth-')))
} catch (error) {
  const variable = process.platform === 'win32' ? 'TEMP' : 'TMPDIR'
  process.stderr.write(`error: the folder for temporary files, ${tmpdir()}, cannot be written: ${error.code}\n`)
  process.stderr.write(`hint: set ${variable} to a folder of your own that has space, and try again\n`)
  process.exitCode = 1
}
