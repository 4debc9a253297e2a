// Who may read a folder on Windows: what is judged from its SDDL, and what is done about it. Nobody has run it there.
import { describe, expect, it } from 'vitest'
import { judge, restrictFolder, userSid, type WindowsTools } from '../../src/host/windows-acl.ts'

const SID = 'S-1-5-21-1004336348-1177238915-682003330-1001'
const OWN = `folder\r\nD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;${SID})\r\n`

describe('the rights of a folder', () => {
  it.each([
    ['the user and the system', OWN, 'own'],
    ['administrators as well', `D:P(A;OICI;FA;;;BA)(A;OICI;FA;;;${SID})`, 'own'],
    ['everyone', `D:P(A;OICI;FA;;;${SID})(A;;0x1200a9;;;WD)`, 'open'],
    ['all users', `D:PAI(A;OICI;FA;;;${SID})(A;OICI;0x1200a9;;;BU)`, 'open'],
    ['authenticated users, by their SID', `D:P(A;OICI;FA;;;${SID})(A;OICI;FR;;;S-1-5-11)`, 'open'],
    ['everyone, denied', `D:P(D;OICI;FA;;;WD)(A;OICI;FA;;;${SID})`, 'own'],
    ['what is inherited', `D:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;${SID})`, 'unknown'],
    ['somebody else', `D:P(A;OICI;FA;;;${SID})(A;OICI;FA;;;S-1-5-21-1-2-3-1002)`, 'unknown'],
    ['no list at all', 'D:NO_ACCESS_CONTROL', 'open'],
    ['an empty list', 'D:P', 'unknown'],
    ['nothing that can be read', 'Successfully processed 0 files', 'unknown'],
  ])('that let in %s', (_name, sddl, access) => {
    expect(judge(sddl, SID)).toBe(access)
  })

  it('are the user’s by the SID of whoami, in any language', () => {
    expect(userSid(`"büro\\ada","${SID}"\r\n`)).toBe(SID)
    for (const text of [undefined, '', 'ada', '"ada","x"', `"ada","${SID} & calc"`])
      expect(userSid(text)).toBeUndefined()
  })

  it('are given before inheritance is taken away, by argument arrays, and read back', async () => {
    const { tools, ran } = machine([`D:AI(A;OICIID;FA;;;BU)(A;OICIID;FA;;;${SID})`, OWN])
    expect(await restrictFolder('C:\\a b & c', tools)).toBe('own')
    expect(ran.map(([name, ...args]) => [name, ...args.slice(1, 2)].join(' '))).toEqual([
      'whoami.exe /fo',
      'icacls.exe /save',
      'icacls.exe /grant:r',
      'icacls.exe /inheritance:r',
      'icacls.exe /save',
    ])
    expect(ran[2]).toEqual(['icacls.exe', 'C:\\a b & c', '/grant:r', `*${SID}:(OI)(CI)F`, '*S-1-5-18:(OI)(CI)F'])
  })

  it('are left alone where they are right, and not claimed where they cannot be told', async () => {
    const right = machine([OWN])
    expect(await restrictFolder('C:\\a', right.tools)).toBe('own')
    expect(right.ran.some((words) => words.includes('/grant:r'))).toBe(false)
    expect(await restrictFolder('C:\\a', machine([]).tools)).toBe('unknown')
    expect(await restrictFolder('C:\\a', { ...machine([OWN]).tools, run: async () => undefined })).toBe('unknown')
    expect(await restrictFolder('C:\\a', machine(['D:P(A;;FA;;;WD)', 'D:P(A;;FA;;;WD)']).tools)).toBe('open')
  })
})

/** Tools that save these lists, one after another. */
function machine(saved: string[]) {
  const ran: string[][] = []
  const tools: WindowsTools = {
    run: async (name, args) => {
      ran.push([name, ...args])
      return name === 'whoami.exe' ? `"pc\\ada","${SID}"\r\n` : ''
    },
    take: async () => {
      const text = saved.shift()
      return text === undefined ? undefined : Buffer.from(text, 'utf16le')
    },
  }
  return { tools, ran }
}
