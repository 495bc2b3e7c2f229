export default {
  preset: "tooling",
  moduleNameMapper: { "^#engine$": "<rootDir>/src/engine.node.ts" },
};
