const shared = {
  testEnvironment: 'node',
  // The processes that tests start.
  globalSetup: '<rootDir>/scripts/bundle.js',
  testEnvironmentOptions: { customExportConditions: ['source', 'node', 'node-addons'] },
  extensionsToTreatAsEsm: ['.ts'],
  modulePathIgnorePatterns: ['/dist/'],
  transform: { '\\.ts$': ['@swc/jest', { jsc: { target: 'es2023', parser: { syntax: 'typescript' } } }] },
};
export default {
  maxWorkers: 2,
  testTimeout: 60_000,
  testSequencer: '<rootDir>/scripts/long-first.cjs',
  projects: [
    {
      ...shared,
      displayName: 'unit',
      testMatch: ['<rootDir>/services/*/test/**/*.test.ts', '<rootDir>/test/unit/**/*.test.ts'],
      testPathIgnorePatterns: ['/node_modules/', '/services/sim/'],
    },
    { ...shared, displayName: 'simulator', testMatch: ['<rootDir>/services/sim/test/**/*.test.ts'] },
    { ...shared, displayName: 'lab', testMatch: ['<rootDir>/test/lab/**/*.test.ts'] },
  ],
};
