// Which tests run: the quick ones (npm test), the long ones (test:long), all of both, or what installs things (test:install).
import { configDefaults, defineConfig } from 'vitest/config'

// Attacks, fuzzing, faults by the hundred, and the program as a whole: each takes seconds, and together more than a minute.
const LONG = ['threats', 'fuzz', 'faults', 'whole'].map((folder) => `test/${folder}/**/*.test.ts`)
const INSTALLING = 'test/install/*.test.ts'

const SUITES: Readonly<Record<string, { include: string[]; exclude: string[] }>> = {
  quick: { include: ['test/**/*.test.ts'], exclude: [...LONG, INSTALLING] },
  long: { include: LONG, exclude: [] },
  all: { include: ['test/**/*.test.ts'], exclude: [INSTALLING] },
  install: { include: [INSTALLING], exclude: [] },
}
const { include, exclude } = SUITES[process.env.CADZERO_AUTH_TEST_SUITE ?? 'quick'] ?? { include: [], exclude: [] }

export default defineConfig({
  test: {
    include,
    exclude: [...configDefaults.exclude, ...exclude],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 3, // on two processors, since many wait for a token to end
    isolate: false, // each file would load and compile the same modules, and make the same keys
    env: { CADZERO_AUTH_HOME: '' },
  },
})
