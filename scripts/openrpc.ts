// Writes docs/openrpc.json, the OpenRPC document of the daemon's methods.
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import manifest from '../package.json' with { type: 'json' }
import { openRpcDocument } from '../src/rpc/openrpc.ts'

const path = fileURLToPath(new URL('../docs/openrpc.json', import.meta.url))
await writeFile(path, `${JSON.stringify(openRpcDocument(manifest.version), null, 2)}\n`)
process.stdout.write('wrote docs/openrpc.json\n')
