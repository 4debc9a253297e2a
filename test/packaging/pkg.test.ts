// The seam to pkg: its public interface still lacks the settings of the simple SEA mode, and the function behind it is still there.
import { execFileSync } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fetchBuilder, fetchTarget } from '../../scripts/package/fetch.ts'
import { hostTarget } from '../../scripts/package/targets.ts'

const MINUTES = 300_000 // npm may have to download Node

it('pkg has the pinned version, and a function that takes an entry and its options', { timeout: MINUTES }, async () => {
  const host = hostTarget()
  const pkg = join(await fetchBuilder(host), '@yao-pkg/pkg')
  const { version, main } = JSON.parse(await readFile(join(pkg, 'package.json'), 'utf8'))
  expect({ version, main }).toEqual({ version: '6.23.0', main: 'lib-es5/index.js' })
  const shape = 'const { default: build } = require(process.argv[1]); console.log(typeof build, build.length)'
  const node = join(await fetchTarget(host), host.node)
  expect(execFileSync(node, ['-e', shape, join(pkg, 'lib-es5/sea.js')], { encoding: 'utf8' })).toBe('function 2\n')
  // If this fails, pkg passes its settings on, and its public interface can be used.
  expect(await readFile(join(pkg, main), 'utf8')).not.toContain('seaConfig')
})
