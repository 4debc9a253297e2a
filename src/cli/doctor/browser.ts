// The doctor's check of the program that opens a browser.
import { leadsToBrowser } from '../../host/desktop.ts'
import { findOpeners } from '../../host/openers.ts'
import type { Finding } from './finding.ts'

const check = 'browser'

export function checkBrowser(env: NodeJS.ProcessEnv, platform = process.platform): Finding {
  const program = env.CADZERO_AUTH_BROWSER || undefined
  const openers = findOpeners({ platform, env, program })
  const [first, ...others] = openers.map((opener) => opener.program)
  if (program !== undefined && first === undefined) {
    const hint = 'set CADZERO_AUTH_BROWSER to the path of an executable program, or unset it'
    return { check, verdict: 'warning', found: `${program} is not an executable program`, hint }
  }
  if (first === undefined) {
    const found = 'this system has no program that opens a browser'
    const hint = 'install xdg-utils, or run cadzero-auth login --no-browser and open the link yourself'
    return { check, verdict: 'warning', found, hint }
  }
  const found = others.length === 0 ? first : `${first}, then ${others.join(', ')}`
  if (program !== undefined || platform !== 'linux' || leadsToBrowser(env)) return { check, verdict: 'ok', found }
  const hint = 'run this in a terminal of your desktop, or run cadzero-auth login and open the link yourself'
  return { check, verdict: 'warning', found: `${first}, but no desktop: DISPLAY and WAYLAND_DISPLAY are not set`, hint }
}
