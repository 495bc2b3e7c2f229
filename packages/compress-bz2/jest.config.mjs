export default {
  preset: "tooling",
  moduleNameMapper: { "^#worker$": "<rootDir>/src/worker.node.ts" },
};
