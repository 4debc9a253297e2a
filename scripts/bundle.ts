// How the program is bundled, as a script and for the executables alike.
import { execFileSync } from 'node:child_process'
import type { BuildOptions } from 'esbuild'

export const BACKEND = './clerk-backend.cjs' // a third of the program, beside it, since the daemon needs nothing of it

export const options: BuildOptions = {
  bundle: true,
  format: 'cjs',
  platform: 'node',
  target: 'node20',
  external: ['@napi-rs/keyring', BACKEND], // a native addon with a file for each platform; and what the broker alone needs
  supported: { 'dynamic-import': false }, // require() in its place: a script from the code cache knows no import()
  define: { BUILT_FROM: JSON.stringify(commit()) },
  minifySyntax: true,
  minifyWhitespace: true, // a third less to read at each start; names stay, for stack traces
  legalComments: 'linked',
  logLevel: 'warning',
}

/** Empty where there is no git, or this folder is not the root of what it knows: a copy within something else. */
function commit(): string {
  try {
    const answer = execFileSync('git', ['rev-parse', '--show-prefix', '--short', 'HEAD'], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    const [prefix, short = ''] = answer.split('\n')
    return prefix === '' ? short : ''
  } catch {
    return ''
  }
}
