// Writes docs/broker-openapi.json from the schemas that check the broker's requests.
import { writeFile } from 'node:fs/promises'
import manifest from '../package.json' with { type: 'json' }
import { openApiDocument } from '../src/broker/openapi.ts'

await writeFile('docs/broker-openapi.json', `${JSON.stringify(openApiDocument(manifest.version), null, 2)}\n`)
