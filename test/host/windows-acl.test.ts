// The permissions of a folder on Windows: how its SDDL is read, and how it is restricted. Not yet run on a real Windows.
import { describe, expect, it } from 'vitest'
import { accessOfSddl, restrictFolder, userSid, type WindowsTools } from '../../src/host/windows-acl.ts'

const SID = 'S-1-5-21-1004336348-1177238915-682003330-1001'
const OWN = `folder\r\nD:PAI(A;OICI;FA;;;SY)(A;OICI;FA;;;${SID})\r\n`

describe('accessOfSddl', () => {
  it.each([
    ['own', 'allows the user and the system', OWN],
    ['own', 'allows administrators as well', `D:P(A;OICI;FA;;;BA)(A;OICI;FA;;;${SID})`],
    ['open', 'allows everyone', `D:P(A;OICI;FA;;;${SID})(A;;0x1200a9;;;WD)`],
    ['open', 'allows all users', `D:PAI(A;OICI;FA;;;${SID})(A;OICI;0x1200a9;;;BU)`],
    ['open', 'allows authenticated users by their SID', `D:P(A;OICI;FA;;;${SID})(A;OICI;FR;;;S-1-5-11)`],
    ['own', 'denies everyone and allows the user', `D:P(D;OICI;FA;;;WD)(A;OICI;FA;;;${SID})`],
    ['unknown', 'is inherited', `D:AI(A;OICIID;FA;;;SY)(A;OICIID;FA;;;${SID})`],
    ['unknown', 'allows one other user', `D:P(A;OICI;FA;;;${SID})(A;OICI;FA;;;S-1-5-21-1-2-3-1002)`],
    ['open', 'does not exist', 'D:NO_ACCESS_CONTROL'],
    ['unknown', 'is empty', 'D:P'],
    ['unknown', 'has an entry with a condition', `D:P(A;;FA;;;${SID})(XA;;FX;;;S-1-1-0;(@User.Title=="PM"))`],
    ['own', 'is followed by labels', `D:P(A;OICI;FA;;;${SID})S:AI(ML;;NW;;;ME)`],
    ['unknown', 'is not SDDL', 'Successfully processed 0 files'],
  ])('returns %s for a list that %s', (access, _name, sddl) => {
    expect(accessOfSddl(sddl, SID)).toBe(access)
  })
})

describe('userSid', () => {
  it('reads the SID from the output of whoami, in any language', () => {
    expect(userSid(`"büro\\ada","${SID}"\r\n`)).toBe(SID)
    expect(userSid('"azuread\\ada","S-1-12-1-1234567890-1234567890-123456789-1234567890"\r\n')).toBe(
      'S-1-12-1-1234567890-1234567890-123456789-1234567890',
    )
    for (const text of [undefined, '', 'ada', '"ada","x"', `"ada","${SID} & calc"`])
      expect(userSid(text)).toBeUndefined()
  })
})

describe('restrictFolder', () => {
  it('[B6] grants access before it removes inheritance, uses argument arrays, and reads the result back', async () => {
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

  it('changes nothing if the folder is private already, and does not claim success if a tool fails', async () => {
    const right = machine([OWN])
    expect(await restrictFolder('C:\\a', right.tools)).toBe('own')
    expect(right.ran.some((words) => words.includes('/grant:r'))).toBe(false)
    expect(await restrictFolder('C:\\a', machine([]).tools)).toBe('unknown')
    expect(await restrictFolder('C:\\a', { ...machine([OWN]).tools, run: async () => undefined })).toBe('unknown')
    expect(await restrictFolder('C:\\a', machine(['D:P(A;;FA;;;WD)', 'D:P(A;;FA;;;WD)']).tools)).toBe('open')
  })
})

/** Tools of which icacls saves these lists, one after another. */
function machine(saved: string[]) {
  const ran: string[][] = []
  const tools: WindowsTools = {
    run: async (name, args) => {
      ran.push([name, ...args])
      return name === 'whoami.exe' ? `"pc\\ada","${SID}"\r\n` : ''
    },
    readAndRemove: async () => {
      const text = saved.shift()
      return text === undefined ? undefined : Buffer.from(text, 'utf16le')
    },
  }
  return { tools, ran }
}
