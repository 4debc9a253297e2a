// How the tests run: three files at a time, since many wait for a token to end rather than for a processor.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 3,
    env: { CADZERO_AUTH_HOME: '' },
  },
})
