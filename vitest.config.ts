import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['{core,btf,crawler,extractor,store,minimize,registry,client,cli,test}/**/*.test.ts'],
    globalSetup: ['test/helpers/scratch-root.ts', 'test/helpers/build-dist.ts'],
    // To find what hangs, and nothing else: a machine with much else to do is slow.
    testTimeout: 240_000,
    hookTimeout: 300_000,
    // Two cores: more workers only fight each other and make slow tests flaky.
    maxWorkers: 2,
  },
})
