// Fifty kinds of hostile upgrade requests, each with any number of random variants.
import { createHmac } from 'node:crypto'
import { systemRandom } from '../../src/host/random.ts'
import type { Endpoint } from '../../src/rpc/discovery.ts'
import { authorization, mac } from '../../src/rpc/handshake.ts'
import type { SeededRandom } from '../support/rounds.ts'
import type { UpgradeRequest } from '../support/rpc.ts'

/** Makes a correct request hostile. */
export type Mutation = (request: UpgradeRequest, endpoint: Endpoint, random: SeededRandom) => void

const LETTERS = 'abcdefghijklmnopqrstuvwxyz'
const WORD = `${LETTERS}ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_`
const VISIBLE = `${WORD} !#$%&'()*+,./:;<=>?@[]^{|}~`

const word = (random: SeededRandom, most = 12) => random.text(WORD, 1 + random.below(most))
const portOf = (endpoint: Endpoint) => String(endpoint.endpoint.split(':')[1])
const anyCase = (random: SeededRandom, text: string) =>
  [...text].map((c) => (random.below(2) ? c.toUpperCase() : c.toLowerCase())).join('')

function set(request: UpgradeRequest, name: string, value: string): void {
  request.headers = [...request.headers.filter(([one]) => one !== name), [name, value]]
}

function drop(request: UpgradeRequest, name: string): void {
  request.headers = request.headers.filter(([one]) => one !== name)
}

/** Inserts a header at a random place, with its name in random case. */
function insert(request: UpgradeRequest, random: SeededRandom, name: string, value: string): void {
  request.headers.splice(random.below(request.headers.length + 1), 0, [anyCase(random, name), value])
}

const withHeader = (name: string, value: (random: SeededRandom, endpoint: Endpoint) => string): Mutation => {
  return (request, endpoint, random) => insert(request, random, name, value(random, endpoint))
}
const replaced = (name: string, value: (random: SeededRandom, endpoint: Endpoint) => string): Mutation => {
  return (request, endpoint, random) => set(request, name, value(random, endpoint))
}
const without = (name: string): Mutation => {
  return (request) => drop(request, name)
}
const twice = (name: string): Mutation => {
  return (request, _endpoint, random) => {
    const [, value = ''] = request.headers.find(([one]) => one === name) ?? []
    insert(request, random, name, random.below(2) ? value : word(random))
  }
}
const line = (make: (random: SeededRandom, endpoint: Endpoint) => string): Mutation => {
  return (request, endpoint, random) => {
    request.requestLine = make(random, endpoint)
  }
}
const signed = (change: (endpoint: Endpoint, random: SeededRandom) => Partial<Endpoint>): Mutation => {
  return (request, endpoint, random) => {
    set(request, 'Authorization', authorization({ ...endpoint, ...change(endpoint, random) }, systemRandom).value)
  }
}
/** Changes a correct Authorization value so that it is no longer correct. */
const changedValue = (change: (value: string, random: SeededRandom) => string): Mutation => {
  return (request, endpoint, random) => {
    const { value } = authorization(endpoint, systemRandom)
    const changed = change(value, random)
    set(request, 'Authorization', changed === value ? `${value}x` : changed)
  }
}
const proof = (make: (endpoint: Endpoint, nonce: string, random: SeededRandom) => string): Mutation => {
  return (request, endpoint, random) => {
    const nonce = systemRandom(16).toString('base64url')
    const value = `CadzeroAuth instance="${endpoint.instance}", nonce="${nonce}", mac="${make(endpoint, nonce, random)}"`
    set(request, 'Authorization', value)
  }
}
const hash = (algorithm: string, endpoint: Endpoint, text: string) =>
  createHmac(algorithm, Buffer.from(endpoint.key, 'base64url')).update(text).digest('base64url')

const site = (random: SeededRandom) =>
  `${random.pick(['http', 'https'])}://${random.text(LETTERS, 1 + random.below(20))}.example`

export const kinds: readonly (readonly [name: string, mutate: Mutation])[] = [
  ['an Origin of a web site', withHeader('Origin', site)],
  ['an Origin of our own address', withHeader('Origin', (_random, { endpoint }) => `http://${endpoint}`)],
  ['an Origin of localhost', withHeader('Origin', (random) => `http://localhost:${random.below(65536)}`)],
  ['an Origin null or empty', withHeader('Origin', (random) => random.pick(['null', '', ' ']))],
  [
    'an Origin of an extension or an editor',
    withHeader(
      'Origin',
      (random) =>
        `${random.pick(['chrome-extension', 'moz-extension', 'vscode-webview', 'file', 'app'])}://${word(random, 32)}`,
    ),
  ],
  [
    'two Origins',
    (request, _endpoint, random) => {
      insert(request, random, 'Origin', site(random))
      insert(request, random, 'Origin', site(random))
    },
  ],
  ['a Referer', withHeader('Referer', (random) => `${site(random)}/${word(random)}`)],
  ['a Cookie', withHeader('Cookie', (random) => `${word(random)}=${word(random)}`)],
  [
    'a Sec-Fetch header',
    withHeader('Sec-Fetch-Site', (random) => random.pick(['none', 'same-origin', 'cross-site', word(random)])),
  ],
  [
    'an unknown Sec-Fetch header',
    (request, _endpoint, random) => insert(request, random, `Sec-Fetch-${word(random)}`, word(random)),
  ],
  ['a Forwarded', withHeader('Forwarded', (random) => `for=127.0.0.1;host=${word(random)}`)],
  [
    'an X-Forwarded header',
    (request, _endpoint, random) => insert(request, random, `X-Forwarded-${word(random)}`, '127.0.0.1'),
  ],
  ['a Via', withHeader('Via', (random) => `1.1 ${word(random)}`)],
  ['no Host', without('Host')],
  ['two Hosts', twice('Host')],
  [
    'the Host localhost',
    replaced(
      'Host',
      (random, endpoint) => `${anyCase(random, 'localhost')}${random.pick(['', '.'])}:${portOf(endpoint)}`,
    ),
  ],
  [
    'a Host of a web site',
    replaced(
      'Host',
      (random, endpoint) => `${random.text(LETTERS, 8)}.example${random.pick(['', `:${portOf(endpoint)}`])}`,
    ),
  ],
  [
    'a Host that resolves to us',
    replaced('Host', (random, endpoint) => `${word(random)}.127.0.0.1.nip.io:${portOf(endpoint)}`),
  ],
  [
    'another spelling of our address',
    replaced(
      'Host',
      (random, endpoint) =>
        `${random.pick(['127.1', '127.0.1', '2130706433', '0x7f000001', '0177.0.0.1', '127.0.0.01', '0', '0.0.0.0', '[::1]', '[::ffff:127.0.0.1]', '127.0.0.2'])}:${portOf(endpoint)}`,
    ),
  ],
  ['a Host with a user', replaced('Host', (random, { endpoint }) => `${word(random)}@${endpoint}`)],
  [
    'a Host with another port',
    replaced('Host', (random, endpoint) => `127.0.0.1:${(Number(portOf(endpoint)) + 1 + random.below(60000)) % 65536}`),
  ],
  ['a Host without a port', replaced('Host', (random) => random.pick(['127.0.0.1', '127.0.0.1:']))],
  [
    'a Host with a suffix',
    replaced(
      'Host',
      (random, { endpoint }) =>
        `${endpoint}${random.pick(['.', '/', ',', '0', '#', ` ${word(random)}`, `,${word(random)}`])}`,
    ),
  ],
  [
    'another method',
    line(
      (random, { path }) =>
        `${random.pick(['POST', 'PUT', 'PATCH', 'DELETE', 'HEAD', 'OPTIONS', 'QUERY'])} ${path} HTTP/1.1`,
    ),
  ],
  ['another path', line((random) => `GET /${word(random, 30)} HTTP/1.1`)],
  [
    'a path in another case or with a suffix',
    line(
      (random, { path }) =>
        `GET ${random.pick([path.toUpperCase(), `${path}/`, `${path}/${word(random)}`, `${path};${word(random)}`, `/${path}`])} HTTP/1.1`,
    ),
  ],
  ['a query', line((random, { path }) => `GET ${path}?${word(random)}=${word(random)} HTTP/1.1`)],
  [
    'a path with dots',
    line(
      (random, { path }) =>
        `GET /${random.pick(['.', `${word(random)}/..`, '%2e', `${word(random)}/%2e%2e`])}${path} HTTP/1.1`,
    ),
  ],
  [
    'a percent-encoded path',
    line(
      (random, { path }) =>
        `GET /${[...path.slice(1)].map((c) => `%${c.charCodeAt(0).toString(16)}`).join('')}${random.pick(['', '%00', '%20'])} HTTP/1.1`,
    ),
  ],
  [
    'an absolute target',
    line(
      (random, { endpoint, path }) =>
        `GET http://${random.pick([endpoint, `${word(random)}.example`])}${path} HTTP/1.1`,
    ),
  ],
  ['HTTP/1.0', line((_random, { path }) => `GET ${path} HTTP/1.0`)],
  [
    'another WebSocket version',
    replaced('Sec-WebSocket-Version', (random) =>
      random.pick(['0', '7', '8', '12', '14', '013', '13.0', '13, 8', word(random)]),
    ),
  ],
  ['no WebSocket version', without('Sec-WebSocket-Version')],
  ['two WebSocket versions', twice('Sec-WebSocket-Version')],
  [
    'another subprotocol',
    replaced('Sec-WebSocket-Protocol', (random) =>
      random.pick([
        word(random),
        'cadzero-auth.v2',
        'CADZERO-AUTH.V1',
        'cadzero-auth.v1,',
        `cadzero-auth.v1, ${word(random)}`,
        `${word(random)}, cadzero-auth.v1`,
      ]),
    ),
  ],
  ['no subprotocol', without('Sec-WebSocket-Protocol')],
  ['two subprotocols', twice('Sec-WebSocket-Protocol')],
  ['no WebSocket key', without('Sec-WebSocket-Key')],
  [
    'a WebSocket key of another length',
    replaced('Sec-WebSocket-Key', (random) => systemRandom(random.pick([0, 1, 8, 15, 17, 24, 32])).toString('base64')),
  ],
  [
    'another upgrade',
    replaced('Upgrade', (random) =>
      random.pick(['h2c', 'TLS/1.0', 'websockets', 'web socket', `${word(random)}, websocket`]),
    ),
  ],
  ['no upgrade', without('Upgrade')],
  ['no Authorization', without('Authorization')],
  ['two Authorizations', twice('Authorization')],
  [
    'another scheme',
    replaced(
      'Authorization',
      (random) => `${random.pick(['Bearer', 'Basic', 'Digest', word(random)])} ${random.text(WORD, 43)}`,
    ),
  ],
  ['a random MAC', proof((_endpoint, _nonce, random) => random.text(WORD, 43))],
  ['a MAC by another key', signed(() => ({ key: systemRandom(32).toString('base64url') }))],
  [
    'a MAC for another port or address',
    signed((_endpoint, random) => ({
      endpoint: `${random.pick(['127.0.0.1', '0.0.0.0', 'localhost'])}:${1 + random.below(1000)}`,
    })),
  ],
  ['another instance', signed(() => ({ instance: systemRandom(16).toString('base64url') }))],
  [
    'a MAC over something else',
    proof((endpoint, nonce, random) => {
      const { endpoint: at, instance } = endpoint
      return random.pick([
        () => mac('server', endpoint, nonce),
        () => hash('sha256', endpoint, `client\n${at}\n${nonce}\n${instance}`),
        () => hash('sha256', endpoint, `client${at}${instance}${nonce}`),
        () => hash('sha256', endpoint, `client\n${at}\n${instance}\n${nonce}\n`),
        () => hash('sha256', endpoint, `${word(random)}\n${at}\n${instance}\n${nonce}`),
        () => hash('sha1', endpoint, `client\n${at}\n${instance}\n${nonce}`).padEnd(43, 'A'),
        () => hash('sha512', endpoint, `client\n${at}\n${instance}\n${nonce}`).slice(0, 43),
        () => endpoint.key,
      ])()
    }),
  ],
  [
    'a changed correct value',
    changedValue((value, random) => {
      const at = 'CadzeroAuth '.length + random.below(value.length - 'CadzeroAuth '.length)
      return random.pick([
        () => value.slice(0, at),
        () => value.slice(0, at) + random.pick([...VISIBLE]) + value.slice(at),
        () => value.slice(0, at) + value.slice(at + 1),
        () => `${value}, ${word(random)}="${word(random)}"`,
        () => value.toLowerCase(),
        () => value.replaceAll('"', random.pick(["'", ''])),
        () => value.replace('CadzeroAuth', word(random)),
        () => [value, value].join(', '),
      ])()
    }),
  ],
  [
    'a thousand headers and an Origin among them',
    (request, _endpoint, random) => {
      for (let i = 0; i < 1000; i++) request.headers.push([random.text(LETTERS, 2), ''])
      insert(request, random, 'Origin', site(random))
    },
  ],
]
