// Prints the bill of materials of the program as CycloneDX.
import { writeFileSync } from 'node:fs'
import { createSbom } from './package/sbom.ts'

writeFileSync(1, `${JSON.stringify(createSbom(), null, 2)}\n`)
