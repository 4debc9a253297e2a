// Ends what a run of tests, or of a bench, has left behind: node reaper.mjs FOLDER. It waits until its standard input ends, as
// it does when the run has ended, however that happened. Then it ends every process whose environment names a path in the folder
// (Linux), and removes the folder, and the control groups that its file `control-groups` names.
import { readdirSync, readFileSync, rmdirSync, rmSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

const [, , folder] = process.argv
const PATIENCE_MS = 5000 // a daemon gives running calls as long

/** The processes with a variable such as CADZERO_AUTH_HOME that names a path in the folder. */
function left() {
  const pids = process.platform === 'linux' ? readdirSync('/proc').filter((name) => /^\d+$/.test(name)) : []
  return pids.map(Number).filter((pid) => pid !== process.pid && environmentOf(pid).includes(`=${folder}/`))
}

function environmentOf(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, 'latin1')
  } catch {
    return '' // it has ended, or belongs to another user
  }
}

function signal(pid, name) {
  try {
    process.kill(pid, name)
  } catch {
    // it has ended
  }
}

/** A process that has ended stays in its control group until its parent has noticed. */
async function removeGroups() {
  for (const group of linesOf(`${folder}/control-groups`)) {
    while (!isRemoved(group) && Date.now() < deadline + 2 * PATIENCE_MS) await wait(50)
  }
}

function isRemoved(group) {
  try {
    rmdirSync(group)
    return true
  } catch ({ code }) {
    return code !== 'EBUSY' // it was never made, or is gone
  }
}

function linesOf(path) {
  try {
    return readFileSync(path, 'utf8').trim().split('\n')
  } catch {
    return []
  }
}

process.stdin.resume()
await new Promise((resolve) => process.stdin.once('close', resolve))
const found = left()
for (const pid of found) signal(pid, 'SIGTERM')
const deadline = Date.now() + PATIENCE_MS
while (left().length > 0 && Date.now() < deadline) await wait(50)
for (const pid of left()) signal(pid, 'SIGKILL')
while (left().length > 0 && Date.now() < deadline + PATIENCE_MS) await wait(50)
await removeGroups()
rmSync(folder, { recursive: true, force: true, maxRetries: 5 })
if (found.length > 0) process.stderr.write(`ended what was left behind: process ${found.join(', ')}\n`)
