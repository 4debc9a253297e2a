// Fifty kinds of upgrade requests that must not get in, each with as many mutations as one likes.
import { createHmac } from 'node:crypto'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac } from '../../src/rpc/handshake.ts'
import type { Dice } from '../support/rounds.ts'
import type { UpgradeRequest } from '../support/rpc.ts'

/** Spoils a right request. */
export type Spoil = (request: UpgradeRequest, endpoint: Endpoint, dice: Dice) => void

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const WORD = `${LETTERS}ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_`
const VISIBLE = `${WORD} !#$%&'()*+,./:;<=>?@[]^{|}~`

const word = (dice: Dice, most = 12) => dice.text(WORD, 1 + dice.below(most))
const portOf = (endpoint: Endpoint) => String(endpoint.endpoint.split(':')[1])
const anyCase = (dice: Dice, text: string) =>
  [...text].map((c) => (dice.below(2) ? c.toUpperCase() : c.toLowerCase())).join('')

function set(request: UpgradeRequest, name: string, value: string): void {
  request.headers = [...request.headers.filter(([one]) => one !== name), [name, value]]
}

function drop(request: UpgradeRequest, name: string): void {
  request.headers = request.headers.filter(([one]) => one !== name)
}

/** Puts a header anywhere among the others, its name in any case. */
function insert(request: UpgradeRequest, dice: Dice, name: string, value: string): void {
  request.headers.splice(dice.below(request.headers.length + 1), 0, [anyCase(dice, name), value])
}

const with_ = (name: string, value: (dice: Dice, endpoint: Endpoint) => string): Spoil => {
  return (request, endpoint, dice) => insert(request, dice, name, value(dice, endpoint))
}
const as = (name: string, value: (dice: Dice, endpoint: Endpoint) => string): Spoil => {
  return (request, endpoint, dice) => set(request, name, value(dice, endpoint))
}
const without = (name: string): Spoil => {
  return (request) => drop(request, name)
}
const twice = (name: string): Spoil => {
  return (request, _endpoint, dice) => {
    const [, value = ''] = request.headers.find(([one]) => one === name) ?? []
    insert(request, dice, name, dice.below(2) ? value : word(dice))
  }
}
const line = (make: (dice: Dice, endpoint: Endpoint) => string): Spoil => {
  return (request, endpoint, dice) => {
    request.requestLine = make(dice, endpoint)
  }
}
const signed = (change: (endpoint: Endpoint, dice: Dice) => Partial<Endpoint>): Spoil => {
  return (request, endpoint, dice) => {
    set(request, 'Authorization', authorization({ ...endpoint, ...change(endpoint, dice) }, systemRandom).value)
  }
}
/** Changes the right value of the Authorization header so that it is right no more. */
const spoiltValue = (change: (value: string, dice: Dice) => string): Spoil => {
  return (request, endpoint, dice) => {
    const { value } = authorization(endpoint, systemRandom)
    const changed = change(value, dice)
    set(request, 'Authorization', changed === value ? `${value}x` : changed)
  }
}
const proof = (make: (endpoint: Endpoint, nonce: string, dice: Dice) => string): Spoil => {
  return (request, endpoint, dice) => {
    const nonce = systemRandom(16).toString('base64url')
    const value = `CadzeroAuth instance="${endpoint.instance}", nonce="${nonce}", mac="${make(endpoint, nonce, dice)}"`
    set(request, 'Authorization', value)
  }
}
const hash = (algorithm: string, endpoint: Endpoint, text: string) =>
  createHmac(algorithm, Buffer.from(endpoint.key, 'base64url')).update(text).digest('base64url')

const site = (dice: Dice) => `${dice.pick(['http', 'https'])}://${dice.text(LETTERS, 1 + dice.below(20))}.example`

export const kinds: readonly (readonly [name: string, spoil: Spoil])[] = [
  ['an Origin of a web site', with_('Origin', site)],
  ['an Origin of our own address', with_('Origin', (_dice, { endpoint }) => `http://${endpoint}`)],
  ['an Origin of localhost', with_('Origin', (dice) => `http://localhost:${dice.below(65536)}`)],
  ['an Origin null or empty', with_('Origin', (dice) => dice.pick(['null', '', ' ']))],
  [
    'an Origin of an extension or an editor',
    with_(
      'Origin',
      (dice) =>
        `${dice.pick(['chrome-extension', 'moz-extension', 'vscode-webview', 'file', 'app'])}://${word(dice, 32)}`,
    ),
  ],
  [
    'two Origins',
    (request, _endpoint, dice) => {
      insert(request, dice, 'Origin', site(dice))
      insert(request, dice, 'Origin', site(dice))
    },
  ],
  ['a Referer', with_('Referer', (dice) => `${site(dice)}/${word(dice)}`)],
  ['a Cookie', with_('Cookie', (dice) => `${word(dice)}=${word(dice)}`)],
  [
    'a Sec-Fetch header',
    with_('Sec-Fetch-Site', (dice) => dice.pick(['none', 'same-origin', 'cross-site', word(dice)])),
  ],
  [
    'a Sec-Fetch header of the future',
    (request, _endpoint, dice) => insert(request, dice, `Sec-Fetch-${word(dice)}`, word(dice)),
  ],
  ['a Forwarded', with_('Forwarded', (dice) => `for=127.0.0.1;host=${word(dice)}`)],
  [
    'an X-Forwarded header',
    (request, _endpoint, dice) => insert(request, dice, `X-Forwarded-${word(dice)}`, '127.0.0.1'),
  ],
  ['a Via', with_('Via', (dice) => `1.1 ${word(dice)}`)],
  ['no Host', without('Host')],
  ['two Hosts', twice('Host')],
  [
    'the Host localhost',
    as('Host', (dice, endpoint) => `${anyCase(dice, 'localhost')}${dice.pick(['', '.'])}:${portOf(endpoint)}`),
  ],
  [
    'a Host of a web site',
    as('Host', (dice, endpoint) => `${dice.text(LETTERS, 8)}.example${dice.pick(['', `:${portOf(endpoint)}`])}`),
  ],
  ['a Host that resolves to us', as('Host', (dice, endpoint) => `${word(dice)}.127.0.0.1.nip.io:${portOf(endpoint)}`)],
  [
    'another spelling of our address',
    as(
      'Host',
      (dice, endpoint) =>
        `${dice.pick(['127.1', '127.0.1', '2130706433', '0x7f000001', '0177.0.0.1', '127.0.0.01', '0', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '127.0.0.2'])}:${portOf(endpoint)}`,
    ),
  ],
  ['a Host with a user', as('Host', (dice, { endpoint }) => `${word(dice)}@${endpoint}`)],
  [
    'a Host with another port',
    as('Host', (dice, endpoint) => `127.0.0.1:${(Number(portOf(endpoint)) + 1 + dice.below(60000)) % 65536}`),
  ],
  ['a Host without a port', as('Host', (dice) => dice.pick(['127.0.0.1', '127.0.0.1:']))],
  [
    'a Host with more behind it',
    as(
      'Host',
      (dice, { endpoint }) => `${endpoint}${dice.pick(['.', '/', ',', '0', '#', ` ${word(dice)}`, `,${word(dice)}`])}`,
    ),
  ],
  [
    'another method',
    line(
      (dice, { path }) =>
        `${dice.pick(['POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'QUERY'])} ${path} HTTP/1.1`,
    ),
  ],
  ['another path', line((dice) => `GET /${word(dice, 30)} HTTP/1.1`)],
  [
    'a path in another case or with more behind it',
    line(
      (dice, { path }) =>
        `GET ${dice.pick([path.toUpperCase(), `${path}/`, `${path}/${word(dice)}`, `${path};${word(dice)}`, `/${path}`])} HTTP/1.1`,
    ),
  ],
  ['a query', line((dice, { path }) => `GET ${path}?${word(dice)}=${word(dice)} HTTP/1.1`)],
  [
    'a path with dots',
    line(
      (dice, { path }) => `GET /${dice.pick(['.', `${word(dice)}/..`, '%2e', `${word(dice)}/%2e%2e`])}${path} HTTP/1.1`,
    ),
  ],
  [
    'a path in percent signs',
    line(
      (dice, { path }) =>
        `GET /${[...path.slice(1)].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')}${dice.pick(['', '%00', '%20'])} HTTP/1.1`,
    ),
  ],
  [
    'an absolute target',
    line((dice, { endpoint, path }) => `GET http://${dice.pick([endpoint, `${word(dice)}.example`])}${path} HTTP/1.1`),
  ],
  ['HTTP/1.0', line((_dice, { path }) => `GET ${path} HTTP/1.0`)],
  [
    'another WebSocket version',
    as('Sec-WebSocket-Version', (dice) => dice.pick(['0', '7', '8', '12', '14', '013', '13.0', '13, 8', word(dice)])),
  ],
  ['no WebSocket version', without('Sec-WebSocket-Version')],
  ['two WebSocket versions', twice('Sec-WebSocket-Version')],
  [
    'another subprotocol',
    as('Sec-WebSocket-Protocol', (dice) =>
      dice.pick([
        word(dice),
        'cadzero-auth.v2',
        'CADZERO-AUTH.V1',
        'cadzero-auth.v1,',
        `cadzero-auth.v1, ${word(dice)}`,
        `${word(dice)}, cadzero-auth.v1`,
      ]),
    ),
  ],
  ['no subprotocol', without('Sec-WebSocket-Protocol')],
  ['two subprotocols', twice('Sec-WebSocket-Protocol')],
  ['no WebSocket key', without('Sec-WebSocket-Key')],
  [
    'a WebSocket key of another length',
    as('Sec-WebSocket-Key', (dice) => systemRandom(dice.pick([0, 1, 8, 15, 17, 24, 32])).toString('base64')),
  ],
  [
    'another upgrade',
    as('Upgrade', (dice) => dice.pick(['h2c', 'TLS/1.0', 'websockets', 'web socket', `${word(dice)}, websocket`])),
  ],
  ['no upgrade', without('Upgrade')],
  ['no Authorization', without('Authorization')],
  ['two Authorizations', twice('Authorization')],
  [
    'another scheme',
    as('Authorization', (dice) => `${dice.pick(['Bearer', 'Basic', 'Digest', word(dice)])} ${dice.text(WORD, 43)}`),
  ],
  ['a MAC of chance', proof((_endpoint, _nonce, dice) => dice.text(WORD, 43))],
  ['a MAC by another key', signed(() => ({ key: systemRandom(32).toString('base64url') }))],
  [
    'a MAC for another port or address',
    signed((_endpoint, dice) => ({
      endpoint: `${dice.pick(['127.0.0.1', '0.0.0.0', 'localhost'])}:${1 + dice.below(1000)}`,
    })),
  ],
  ['another instance', signed(() => ({ instance: systemRandom(16).toString('base64url') }))],
  [
    'a MAC over something else',
    proof((endpoint, nonce, dice) => {
      const { endpoint: at, instance } = endpoint
      return dice.pick([
        () => mac('server', endpoint, nonce),
        () => hash('sha256', endpoint, `client\n${at}\n${nonce}\n${instance}`),
        () => hash('sha256', endpoint, `client${at}${instance}${nonce}`),
        () => hash('sha256', endpoint, `client\n${at}\n${instance}\n${nonce}\n`),
        () => hash('sha256', endpoint, `${word(dice)}\n${at}\n${instance}\n${nonce}`),
        () => hash('sha1', endpoint, `client\n${at}\n${instance}\n${nonce}`).padEnd(43, 'A'),
        () => hash('sha512', endpoint, `client\n${at}\n${instance}\n${nonce}`).slice(0, 43),
        () => endpoint.key,
      ])()
    }),
  ],
  [
    'a right value that was changed',
    spoiltValue((value, dice) => {
      const at = 'CadzeroAuth '.length + dice.below(value.length - 'CadzeroAuth '.length)
      return dice.pick([
        () => value.slice(0, at),
        () => value.slice(0, at) + dice.pick([...VISIBLE]) + value.slice(at),
        () => value.slice(0, at) + value.slice(at + 1),
        () => `${value}, ${word(dice)}="${word(dice)}"`,
        () => value.toLowerCase(),
        () => value.replaceAll('"', dice.pick(["'", ''])),
        () => value.replace('CadzeroAuth', word(dice)),
        () => [value, value].join(', '),
      ])()
    }),
  ],
  [
    'a thousand headers and an Origin among them',
    (request, _endpoint, dice) => {
      for (let i = 0; i < 1000; i++) request.headers.push([dice.text(LETTERS, 2), ''])
      insert(request, dice, 'Origin', site(dice))
    },
  ],
]
