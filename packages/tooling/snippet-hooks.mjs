// What the package that owns a document does not depend on is looked for in docs-test,
// which depends on every package.
const docsTest = new URL("../docs-test/package.json", import.meta.url).href;

export async function resolve(specifier, context, nextResolve) {
  try {
    return await nextResolve(specifier, context);
  } catch (error) {
    if (error?.code !== "ERR_MODULE_NOT_FOUND" || /^[./]/.test(specifier)) throw error;
    return nextResolve(specifier, { ...context, parentURL: docsTest });
  }
}
