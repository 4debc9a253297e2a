// How the tests run: three files at a time, since many wait for a token to end rather than for a processor.
import { configDefaults, defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    // They build and install for minutes: npm run test:install.
    exclude: process.env.CADZERO_AUTH_TEST_INSTALL
      ? configDefaults.exclude
      : [...configDefaults.exclude, 'test/install/**'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 3,
    env: { CADZERO_AUTH_HOME: '' },
  },
})
