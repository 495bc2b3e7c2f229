const vm = require("node:vm");
const { TestEnvironment } = require("jest-environment-node");

// In the context that jest makes, each use of a global such as `Math` or `Uint8Array` would go through two
// interceptors and a proxy: 2 million uses took 4 s, and take 40 ms in a plain one, which Node has since 20.18.
const { createContext } = vm;
const plainContext = () => createContext(vm.constants.DONT_CONTEXTIFY);

// Node 20 defines Symbol.dispose and Symbol.asyncDispose for its main context alone;
// the context that jest makes for a test file needs the very same symbols.
module.exports = class extends TestEnvironment {
  constructor(...config) {
    if (vm.constants?.DONT_CONTEXTIFY) vm.createContext = plainContext;
    try {
      super(...config);
    } finally {
      vm.createContext = createContext;
    }
  }

  async setup() {
    await super.setup();
    for (const name of ["dispose", "asyncDispose"]) {
      if (this.global.Symbol[name] !== Symbol[name]) {
        Object.defineProperty(this.global.Symbol, name, { value: Symbol[name] });
      }
    }
  }
};
