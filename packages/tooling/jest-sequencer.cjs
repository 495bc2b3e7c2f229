const { createRequire } = require("node:module");

const core = createRequire(require.resolve("jest")).resolve("@jest/core");
const { default: Sequencer } = createRequire(core)("@jest/test-sequencer");

/**
 * Files that take long although they are short, the longest first. Where jest has not seen them yet it
 * goes by their size, and one of two workers would wait for such a file at the end: two minutes in `s3`.
 */
const LONG = ["resident", "contract", "kills", "contract-in-parts", "limits", "long-keys"];

module.exports = class extends Sequencer {
  sort(tests) {
    const rank = ({ path }) => {
      const found = LONG.indexOf(/([^/\\]*)\.test\.ts$/.exec(path)?.[1]);
      return found < 0 ? LONG.length : found;
    };
    return super.sort(tests).sort((a, b) => rank(a) - rank(b));
  }
};
