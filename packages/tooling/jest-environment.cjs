const { TestEnvironment } = require("jest-environment-node");

// Node 20 defines Symbol.dispose and Symbol.asyncDispose for its main context alone;
// the context that jest makes for a test file needs the very same symbols.
module.exports = class extends TestEnvironment {
  async setup() {
    await super.setup();
    for (const name of ["dispose", "asyncDispose"]) {
      if (this.global.Symbol[name] !== Symbol[name]) {
        Object.defineProperty(this.global.Symbol, name, { value: Symbol[name] });
      }
    }
  }
};
