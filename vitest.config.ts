// How the tests run: three files at a time, since many wait for a token to end rather than for a processor.
import { configDefaults, defineConfig } from 'vitest/config'

// What installs services or needs a system of its own runs by itself: npm run test:install.
const installs = process.env.CADZERO_AUTH_TEST_INSTALL === '1'

export default defineConfig({
  test: {
    include: [installs ? 'test/install/*.test.ts' : 'test/**/*.test.ts'],
    exclude: installs ? [] : [...configDefaults.exclude, 'test/install/**'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 3,
    env: { CADZERO_AUTH_HOME: '' },
  },
})
