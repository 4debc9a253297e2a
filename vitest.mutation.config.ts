// The tests that Stryker runs against each mutant: those of the mutated files, in one project.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: [
      'test/rpc/{guard-verdict,handshake}.test.ts',
      'test/session/{state,refresh,refresher,sign-in-attempt,sign-out}.test.ts',
      'test/callback/{callback-request,callback-listener}.test.ts',
      'test/store/envelope.test.ts',
      'test/clerk/{session-token,metadata,token-response,response-watch,handoff}.test.ts',
      'test/broker/{broker,refresh-token,refresh,logout,request,clerk-errors}.test.ts',
    ],
    testTimeout: 10_000,
    isolate: false,
    env: { CADZERO_AUTH_HOME: '' },
  },
})
