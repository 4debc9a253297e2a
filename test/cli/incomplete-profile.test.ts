// A profile that has an issuer but no sign-in method: it fails alone, and each command says which setting is missing.
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { temporaryFolder } from '../support/folder.ts'
import { runProgram, startDaemonProcess } from '../support/program.ts'

async function newHome(): Promise<string> {
  const home = await temporaryFolder()
  await mkdir(join(home, 'config'), { mode: 0o700 })
  const profiles = { bare: { issuer: 'https://clerk.example.com' } }
  await writeFile(join(home, 'config', 'config.json'), JSON.stringify({ defaultProfile: 'bare', profiles }))
  return home
}

const missing = {
  setting: 'profiles.bare.signInUrl',
  expected: 'the page that hands the session over; or set clientId to sign in by OAuth',
}

test('the daemon answers 1007 for that profile and serves the others', async () => {
  const daemon = await startDaemonProcess({ home: await newHome() })
  const client = await daemon.connect()
  await expect(client.call('getAuthHeader', {})).rejects.toMatchObject({ code: 1007, data: missing })
  await expect(client.call('login', { profile: 'bare' })).rejects.toMatchObject({ code: 1007, data: missing })
  expect(await client.call('status', { profile: 'production' })).toMatchObject({ state: 'signed_out' })
})

test('doctor reports that the profile has no sign-in method and says what to set', async () => {
  const { code, stdout } = await runProgram(['doctor', '--json'], { home: await newHome() })
  expect(code).toBe(1)
  expect(JSON.parse(stdout)).toContainEqual({
    check: 'configuration',
    verdict: 'failed',
    found: 'profile bare has no sign-in method configured',
    hint: expect.stringContaining('set profiles.bare.clientId (OAuth) or profiles.bare.signInUrl (hand-off)'),
  })
})

test('config shows the error in place of the profile', async () => {
  const { code, stdout } = await runProgram(['config', '--json'], { home: await newHome() })
  expect(code).toBe(0)
  expect(JSON.parse(stdout).profiles).toMatchObject({ bare: { error: missing }, production: { kind: 'handoff' } })
})
