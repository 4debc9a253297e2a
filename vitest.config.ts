// How the tests run: one file at a time would be slow, more workers than cores would make timing worse.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    maxWorkers: 2,
    env: { CADZERO_AUTH_HOME: '' },
  },
})
