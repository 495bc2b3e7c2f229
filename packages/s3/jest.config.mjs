export default {
  preset: "tooling",
  globalSetup: "<rootDir>/test/server.setup.mjs",
  globalTeardown: "<rootDir>/test/server.teardown.mjs",
};
