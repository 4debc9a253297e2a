// The scripts of the packages for Linux ask the managers of users on a real systemd: only those whose unit is the package's.
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { expect, it } from 'vitest'
import { missingRequirement, startUserManager } from './user-manager.ts'

const missing = missingRequirement()
const UNIT = '/etc/systemd/user/cadzero-auth.service' // in memory: the test has no package in /usr

it.skipIf(missing !== '')(
  `a removal of the package stops its daemon, and not one of a user’s own unit${missing === '' ? '' : ` (skipped: ${missing})`}`,
  async () => {
    const { home, homeFromTest, run } = await startUserManager()
    const systemctl = async (...args: string[]) => await run(['systemctl', '--user', ...args, 'cadzero-auth'])
    const write = async (path: string) => {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, '[Service]\nExecStart=/bin/sleep infinity\n')
      await run(['systemctl', '--user', 'daemon-reload'])
      await systemctl('restart')
    }
    await write(homeFromTest.replace(home, UNIT))
    expect(await systemctl('is-active')).toMatchObject({ stdout: 'active\n' })
    const place = (await systemctl('show', '--property=FragmentPath', '--value')).stdout.trim() // also below /etc/xdg
    const script = (await readFile('scripts/package/linux/user-managers.sh', 'utf8'))
      .replace('/run/user/*', join(home, '../run'))
      .replace(/^UNIT=.*$/m, `UNIT=${place}`)
    const remove = async () => await run(['sh', '-ec', `${script}\nfor_each_user stop cadzero-auth.service`])
    expect(await remove()).toMatchObject({ code: 0, stdout: '', stderr: '' })
    expect(await systemctl('is-active')).toMatchObject({ stdout: 'inactive\n' })

    await write(join(homeFromTest, '.config/systemd/user/cadzero-auth.service'))
    expect(await remove()).toMatchObject({ code: 0 })
    expect(await systemctl('is-active')).toMatchObject({ stdout: 'active\n' })
  },
)
