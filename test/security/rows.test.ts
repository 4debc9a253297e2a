// The attacks that this program has to withstand, a row each: who tries it, or where it is said why nobody can.
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'
import { defences } from '../../scripts/defences/list.ts'

const ROOT = fileURLToPath(new URL('../..', import.meta.url))

interface Row {
  readonly attack: string
  /** Parts of the names of tests. */
  readonly by?: readonly string[]
  /** A heading of SECURITY.md, for what no test on this system can show. */
  readonly said?: string
}

const rows: Readonly<Record<string, Row>> = {
  A1: {
    attack: 'a web page opens a WebSocket',
    by: ['opens no socket, whatever its Origin', 'a web page cannot open the daemon’s socket'],
  },
  A2: { attack: 'no Origin is taken for a trusted program', by: ['is not let in for having no Origin'] },
  A3: {
    attack: 'DNS rebinding',
    by: [
      'that calls us by a name of its own (DNS rebinding) is refused',
      'that comes by another name (DNS rebinding) is refused',
    ],
  },
  A4: { attack: 'through 0.0.0.0', by: ['does not reach it through 0.0.0.0'] },
  A5: {
    attack: 'an HTTP endpoint with side effects',
    by: ['finds no other address there, and no header that would let it read an answer'],
  },
  A6: {
    attack: 'a page sends its window to a loopback address',
    by: ['that sends its window to the callback changes nothing'],
  },
  A7: { attack: 'another page on loopback', by: ['opens no socket, whatever its Origin'] },
  A8: { attack: 'tricks with HTTP’s syntax', by: ['that plays with the syntax of HTTP is not understood in two ways'] },

  B1: {
    attack: 'a squatter on a stale port',
    by: ['fools no client, and never sees the key nor a frame', 'says nothing to strangers'],
  },
  B2: { attack: 'a relay', by: ['gets nothing by passing the client’s request on to the real daemon'] },
  B3: { attack: 'a replay', by: ['gets nothing by playing a handshake again, now or after a restart'] },
  B4: {
    attack: 'a squatter on the other loopback addresses',
    by: ['on the other loopback addresses is not asked by anybody'],
  },
  B5: {
    attack: 'a bound port is stolen (Windows)',
    by: ['fools no client, and never sees the key nor a frame'],
    said: 'Windows and macOS',
  },
  B6: {
    attack: 'others read the files',
    by: [
      'are nobody else’s at any instant',
      'cannot be read by another user',
      'lie in folders that are made private',
      'grants access before it removes inheritance',
    ],
  },
  B7: {
    attack: 'links, pipes and devices are planted',
    by: [
      'are never another’s, while links and pipes are swapped in for them',
      'refuses a file that is %s, and leaves it where it is',
    ],
  },
  B8: {
    attack: 'all connections are taken',
    by: ['that open thousands of sockets do not keep the owner out', 'keeps 256 strangers at the most'],
  },
  B9: {
    attack: 'another user talks to the port',
    by: ['get the empty refusal from the daemon, and nothing at all from the callback'],
  },
  B10: {
    attack: 'a debugger is attached',
    by: ['cannot attach a debugger: not by a signal, and not by what the environment says'],
  },
  B11: { attack: 'memory is read by a program of the same user', said: 'Out of scope' },

  C1: { attack: 'login CSRF', by: ['with no, an empty, a wrong, a repeated or an old state is refused'] },
  C2: { attack: 'a stolen code', by: ['whose code was stolen is worth nothing without the verifier'] },
  C3: { attack: 'one bad hit ends the sign-in', by: ['that is forged ten thousand times does not end the sign-in'] },
  C4: {
    attack: 'reflected XSS',
    by: [
      'gets constant pages and constant addresses, whatever is put into it',
      'has its status and every header of the rule',
    ],
  },
  C5: { attack: 'an open redirect', by: ['gets constant pages and constant addresses, whatever is put into it'] },
  C6: { attack: 'the code in the history', by: ['that is right leads to an address without a query'] },
  C7: { attack: 'a prefetch eats the callback', by: ['that a browser fetches ahead, or twice, is one token request'] },
  C8: {
    attack: 'the browser does not get there',
    by: ['that never comes ends in a timeout', 'takes the address at which the browser ended'],
  },
  C9: {
    attack: 'hostile metadata starts a program',
    by: ['starts no program but the browser, and that with nothing but a web address'],
  },
  C10: {
    attack: 'the state is read from the launcher’s arguments',
    by: ['get the empty refusal from the daemon, and nothing at all from the callback'],
    said: 'What is known to remain',
  },
  C11: { attack: 'a mix-up of providers', by: ['that is not the one who was asked is seen by its iss'] },

  D1: { attack: 'logs', by: ['after a whole life with OAuth', 'after a whole life with the hand-off and the broker'] },
  D2: { attack: 'arguments', by: ['after a whole life with OAuth'] },
  D3: { attack: 'environments', by: ['after a whole life with OAuth', 'none of the daemon’s settings'] },
  D4: { attack: 'core dumps', by: ['leaves no secret in its core dump'] },
  D5: { attack: 'temporary files', by: ['is swept at the next start where it was a write cut short'] },
  D6: { attack: 'heap snapshots and reports', by: ['cannot attach a debugger', 'leaves no secret in a report'] },
  D7: { attack: 'errors that quote the provider', by: ['after a whole life with OAuth', 'internal error and no more'] },
  D8: {
    attack: 'a file that is changed, or another’s',
    by: ['opens a file with any one byte changed as no session at all', 'does not open the file of another user’s key'],
  },
  D9: { attack: 'an older file is put back', by: ['is yesterday’s session, restored'] },

  E1: { attack: 'a storm of keychain prompts', by: ['is made once in the keyring, and read once a start'] },
  E2: { attack: 'another program reads the keychain’s entry', said: 'Out of scope' },
  E3: {
    attack: 'a keychain that is locked, or an entry that is gone',
    by: ['a real keyring holds the key, and locked it is no sign-out', 'that is gone from the keyring means missing'],
  },
  E4: {
    attack: 'a key that opens nothing any more',
    by: ['is set aside when it is damaged', 'does not open the file of another user’s key'],
  },

  '1F': {
    attack: 'a browser that blocks the way back',
    by: ['goes on with the link alone where no browser opens', 'takes the address at which the browser ended'],
  },
}

const IDS = ['A', 8, 'B', 11, 'C', 11, 'D', 9, 'E', 4] as const

it('each attack is tried by a test, or the reason why not is in SECURITY.md', () => {
  const ids: string[] = []
  for (let i = 0; i < IDS.length; i += 2) {
    for (let n = 1; n <= Number(IDS[i + 1]); n++) ids.push(`${IDS[i]}${n}`)
  }
  expect(Object.keys(rows)).toEqual([...ids, '1F'])
  const texts = readdirSync(join(ROOT, 'test'), { recursive: true })
    .map(String)
    .filter((name) => name.endsWith('.test.ts') && !name.endsWith('rows.test.ts'))
    .map((name) => readFileSync(join(ROOT, 'test', name), 'utf8'))
    .join('\n')
  const security = readFileSync(join(ROOT, 'SECURITY.md'), 'utf8')
  for (const [id, { by = [], said }] of Object.entries(rows)) {
    expect(by.length > 0 || said !== undefined, `nobody tries ${id}`).toBe(true)
    for (const name of by) expect(texts.includes(name), `${id}: there is no test «${name}»`).toBe(true)
    if (said !== undefined) expect(security.includes(`## ${said}`), `${id}: SECURITY.md has no «${said}»`).toBe(true)
  }
})

it('each defence of test:defences is where its list says, and its test is there', () => {
  for (const { name, file, without, test } of defences) {
    const source = readFileSync(join(ROOT, file), 'utf8')
    for (const [text] of without) expect(source.split(text).length, `${name}: ${text}`).toBe(2)
    const [path, title] = test
    const isThere = readFileSync(join(ROOT, path), 'utf8').includes(title)
    // Some titles are put together from a table.
    if (!isThere) expect(TABLED, name).toContain(title)
  }
})

const TABLED = ['at any instant, under the umask 000', '8252-5', '9207-4']
