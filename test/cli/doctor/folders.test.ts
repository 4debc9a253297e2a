// The doctor's check of the folders on Windows, where an access control list decides who can access them.
import { describe, expect, it } from 'vitest'
import type { Context } from '../../../src/cli/context.ts'
import { checkFolders } from '../../../src/cli/doctor/folders.ts'
import { locateFolders } from '../../../src/config/paths.ts'
import { systemHost } from '../../../src/host/host.ts'
import type { FolderAccess } from '../../../src/host/windows-acl.ts'
import { temporaryFolder } from '../../support/folder.ts'

async function folderFindings(access: FolderAccess) {
  const folders = locateFolders({ CADZERO_AUTH_HOME: await temporaryFolder() })
  const asked: string[] = []
  const restrictFolder = async (path: string) => {
    asked.push(path)
    return access
  }
  const context = { host: { ...systemHost(), restrictFolder }, folders } as Context
  const findings = (await checkFolders(context)).filter(({ check }) => check.startsWith('folder '))
  expect(asked).toEqual([folders.config, folders.data, folders.log, folders.sessions])
  return findings
}

describe('the check of the folders', () => {
  it('says that only the user can access a folder if Windows says so', async () => {
    for (const finding of await folderFindings('own'))
      expect(finding).toMatchObject({ verdict: 'ok', found: 'only you can access it' })
  })

  it('fails for a folder that others can access', async () => {
    for (const finding of await folderFindings('open'))
      expect(finding).toMatchObject({ verdict: 'failed', found: expect.stringContaining('other users may read') })
  })

  it('warns if Windows does not tell', async () => {
    for (const finding of await folderFindings('unknown')) {
      expect(finding).toMatchObject({ verdict: 'warning', found: expect.stringContaining('does not tell') })
      expect(finding.hint).toContain('Security')
    }
  })
})
