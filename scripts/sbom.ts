// Prints what the program is made of, as CycloneDX.
import { writeFileSync } from 'node:fs'
import { sbom } from './package/sbom.ts'

writeFileSync(1, `${JSON.stringify(sbom(), null, 2)}\n`)
