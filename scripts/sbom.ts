// Prints the bill of materials of the program as CycloneDX.
import { writeFileSync } from 'node:fs'
import { BUNDLES } from './bundle.ts'
import { packagesIn } from './package/bundled.ts'
import { createSbom, validateSbom } from './package/sbom.ts'

const text = `${JSON.stringify(createSbom(await packagesIn(BUNDLES)), null, 2)}\n`
await validateSbom(text)
writeFileSync(1, text)
