// What docs/install.md shows, in a new account: a home folder with spaces and accents, no root, and nothing in it.
import { spawn } from 'node:child_process'
import { chmod, chown, cp, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { ROOT, readPage } from '../docs/markdown.ts'
import { has } from '../docs/user.ts'
import { endOf, temporaryFolder } from '../support/program.ts'

const UID = 61_234 // in no list of users
const isRoot = process.getuid?.() === 0
const { blocks } = readPage('docs/install.md')
const blockWith = (text: string) => String(blocks.find((block) => block.text.includes(text))?.text)

/** @returns a function that runs text as a shell of the user does, in a folder with what `npm run build` makes */
async function newAccount() {
  const home = join(await temporaryFolder(), 'Zoë Ünal')
  const sources = join(home, 'cadzero auth')
  await mkdir(sources, { recursive: true })
  await cp(join(ROOT, 'dist'), join(sources, 'dist'), { recursive: true })
  await cp(join(ROOT, 'package.json'), join(sources, 'package.json'))
  // In the role of the executable: the real one is tested in test/packaging.
  await writeFile(join(sources, `cadzero-auth-${manifest.version}-linux-x64`), `#!/bin/sh\necho ${manifest.version}\n`)
  if (isRoot) {
    await chmod(join(home, '..'), 0o755)
    await endOf(spawn('chown', ['-R', `${UID}:${UID}`, home]))
    await chown(home, UID, UID)
  }
  return async (text: string) => {
    const bash = ['bash', '-e', '-c', text]
    const [program = '', ...args] = isRoot
      ? ['setpriv', `--reuid=${UID}`, `--regid=${UID}`, '--clear-groups', ...bash]
      : bash
    const env = { PATH: process.env.PATH, HOME: home, LANG: 'C.UTF-8', npm_config_offline: 'true' }
    return await endOf(spawn(program, args, { cwd: sources, env }))
  }
}

const canRun = process.platform === 'linux' && (!isRoot || has('setpriv'))

describe.skipIf(!canRun)('in a new account', () => {
  it.each(['npm install --global', 'linux-x64 ~'])(
    'the lines with «%s» put the command into PATH',
    { timeout: 60_000 },
    async (line) => {
      const run = await newAccount()
      const text = blockWith(line)
      expect(text.split('\n').at(-1)).toBe('cadzero-auth --version')
      const { code, stdout, stderr } = await run(text)
      expect(code, stderr).toBe(0)
      expect(stdout.trim().split('\n').at(-1)).toMatch(new RegExp(`^${manifest.version.replaceAll('.', '\\.')}`))
    },
  )

  it.skipIf(!has('man'))('the man page is found by man', async () => {
    const run = await newAccount()
    const { code, stdout, stderr } = await run(
      `${blockWith('man/man1')}\nmkdir -p ~/.local/bin\nexport PATH="$HOME/.local/bin:$PATH"\nman --path cadzero-auth`,
    )
    expect(code, stderr).toBe(0)
    expect(stdout).toContain('.local/share/man/man1/cadzero-auth.1')
  })
})
