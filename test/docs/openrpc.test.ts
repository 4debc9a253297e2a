// docs/openrpc.json is the document that the daemon returns for rpc.discover.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import manifest from '../../package.json' with { type: 'json' }
import { openRpcDocument } from '../../src/rpc/openrpc.ts'
import { ROOT } from './markdown.ts'

it('docs/openrpc.json is what `npm run openrpc` writes', () => {
  const written: unknown = JSON.parse(readFileSync(join(ROOT, 'docs/openrpc.json'), 'utf8'))
  expect(written).toEqual(JSON.parse(JSON.stringify(openRpcDocument(manifest.version))))
})
