// Mutation testing of the pure security code: `npm run test:mutation`. See docs/decisions/mutation-testing.md.

/** @type {import('@stryker-mutator/api/core').PartialStrykerOptions} */
export default {
  mutate: [
    'src/rpc/{guard,handshake}.ts',
    'src/session/{state,refresh,refresher,sign-in-attempt,sign-out}.ts',
    'src/callback/{callback-request,callback-listener}.ts',
    'src/store/envelope.ts',
    'src/clerk/{session-token,metadata,token-response,response-watch,handoff}.ts',
    'src/broker/{broker,refresh-token,clerk-sessions,request}.ts',
  ],
  testRunner: 'vitest',
  vitest: { configFile: 'vitest.mutation.config.ts' },
  coverageAnalysis: 'perTest',
  concurrency: 2,
  ignoreStatic: true, // a static mutant needs a run of every test
  reporters: ['clear-text', 'progress-append-only'],
  clearTextReporter: { logTests: false, allowEmojis: false, reportTests: false },
  ignorePatterns: ['dist', 'dist-bin', 'docs', 'examples'],
  tempDirName: '.stryker',
  tsconfigFile: 'none', // Stryker reads it by TypeScript's JavaScript API, which TypeScript 7 does not have
  thresholds: { high: 95, low: 90, break: 80 },
}
