// The test projects: unit mirrors src/ and is what `npm test` runs; the others take longer and have a script each.
import { configDefaults, defineConfig } from 'vitest/config'

// A hang, not a slow machine. Wine starts a program in seconds, and each access to a file goes through its one server.
const HANGS_MS = process.env.CADZERO_AUTH_TEST_WINE === '1' ? 300_000 : 60_000

const LONG = ['security', 'faults', 'fuzz', 'e2e', 'field', 'packaging', 'install']

const project = (name: string, include: string[], exclude: string[] = []) => ({
  extends: true as const,
  test: { name, include, exclude: [...configDefaults.exclude, ...exclude] },
})

export default defineConfig({
  test: {
    testTimeout: HANGS_MS,
    hookTimeout: HANGS_MS,
    expect: { poll: { timeout: HANGS_MS / 2 } },
    maxWorkers: 3, // on two processors, since many tests wait for a token to expire
    isolate: false, // each file would load and compile the same modules, and make the same keys
    globalSetup: ['test/support/run-folder.ts'],
    env: { CADZERO_AUTH_HOME: '' },
    projects: [
      project(
        'unit',
        ['test/**/*.test.ts'],
        LONG.map((folder) => `test/${folder}/**`),
      ),
      ...LONG.map((folder) => project(folder, [`test/${folder}/**/*.test.ts`])),
    ],
  },
})
