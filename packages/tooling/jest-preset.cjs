const swc = {
  jsc: {
    target: "es2022",
    parser: { syntax: "typescript", explicitResourceManagement: true },
    keepClassNames: true,
  },
  module: { type: "es6" },
  sourceMaps: "inline",
};

module.exports = {
  testEnvironment: require.resolve("./jest-environment.cjs"),
  resolver: require.resolve("./jest-resolver.cjs"),
  testSequencer: require.resolve("./jest-sequencer.cjs"),
  testMatch: ["<rootDir>/test/**/*.test.ts"],
  extensionsToTreatAsEsm: [".ts"],
  moduleFileExtensions: ["ts", "js", "mjs", "cjs", "json", "node"],
  transform: { "\\.ts$": [require.resolve("@swc/jest"), swc] },
  // Ends a test that hangs. None is this slow, also on a machine that does much else, unless a
  // variable makes it longer.
  testTimeout: Number(process.env.PARTD_TEST_MS ?? 300_000),
};
