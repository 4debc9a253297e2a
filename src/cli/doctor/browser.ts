// The doctor's check of the program that opens a browser.
import { isAbsolute } from 'node:path'
import { findLauncher } from '../../host/browser.ts'
import { findProgram } from '../../host/programs.ts'
import type { Finding } from './finding.ts'

const check = 'browser'

export function checkBrowser(env: NodeJS.ProcessEnv): Finding {
  const program = env.CADZERO_AUTH_BROWSER || findLauncher(process.platform, env)?.program
  if (program === undefined) {
    const found = 'this system has no program that opens a browser'
    const hint = 'install xdg-utils, or run cadzero-auth login --no-browser and open the link yourself'
    return { check, verdict: 'warning', found, hint }
  }
  // The system resolves a relative name by rules of its own.
  if (!isAbsolute(program) || findProgram([program])) return { check, verdict: 'ok', found: program }
  const hint = 'set CADZERO_AUTH_BROWSER to the path of an executable program, or unset it'
  return { check, verdict: 'warning', found: `${program} is not an executable program`, hint }
}
