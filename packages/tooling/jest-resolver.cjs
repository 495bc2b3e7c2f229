// Under NodeNext a TypeScript source is imported by the name of its output:
// "../src/frame.js" is src/frame.ts until it is compiled.
module.exports = (path, options) => {
  try {
    return options.defaultResolver(path, options);
  } catch (error) {
    if (!/^\.{1,2}\/.*\.js$/.test(path)) throw error;
    return options.defaultResolver(path.replace(/\.js$/, ".ts"), options);
  }
};
