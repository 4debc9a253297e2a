// The name, version and icon of a Windows program: written over those of another, and read back.
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { brand } from '../../scripts/package/windows/brand.mjs'
import { temporaryFolder } from '../support/folder.ts'
import { evaluate, readBrand } from '../support/windows-brand.ts'

const NODES_PROGRAM = `
  import { NtExecutable, NtExecutableResource, Resource } from 'resedit'
  import { writeFileSync } from 'node:fs'
  const program = NtExecutable.createEmpty(false, false)
  const resources = NtExecutableResource.from(program)
  const info = Resource.VersionInfo.createEmpty()
  info.lang = 1033
  info.setStringValues({ lang: 1033, codepage: 1200 }, { ProductName: 'Node.js', FileVersion: '26.10.0' })
  info.outputToResourceEntries(resources.entries)
  const icon = { width: 16, height: 16, bitCount: 32, planes: 1, isIcon: () => false, isRaw: () => true, bin: new ArrayBuffer(9) }
  Resource.IconGroupEntry.replaceIconsForResource(resources.entries, 1, 1033, [icon])
  resources.outputResource(program)
  writeFileSync(process.argv[1], Buffer.from(program.generate()))`

it('a Windows program has the name, version and icon of CADZERO, and none of Node’s', async () => {
  const path = join(await temporaryFolder(), 'program.exe')
  await evaluate(NODES_PROGRAM, path)
  expect((await readBrand(path)).values).toMatchObject([{ ProductName: 'Node.js' }])
  await brand(path, '1.2.3')
  const { values, numbers, icons, expected } = await readBrand(path)
  const name = { CompanyName: 'CADZERO', ProductName: 'CADZERO sign-in', FileDescription: 'CADZERO sign-in' }
  expect(values).toEqual([expect.objectContaining({ ...name, FileVersion: '1.2.3', ProductVersion: '1.2.3' })])
  expect(numbers).toEqual([[0x1_0002, 0x1_0002, 0x3_0000]])
  expect(expected.length).toBeGreaterThan(1)
  expect(icons).toEqual([expected])
})

it('a version under test has its numbers in the file, and its suffix in the text', async () => {
  const path = join(await temporaryFolder(), 'program.exe')
  await evaluate(NODES_PROGRAM, path)
  await brand(path, '1.2.3-rc.1')
  const { values, numbers } = await readBrand(path)
  expect(values).toMatchObject([{ FileVersion: '1.2.3-rc.1' }])
  expect(numbers).toEqual([[0x1_0002, 0x1_0002, 0x3_0000]])
})
