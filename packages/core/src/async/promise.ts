/** Not `instanceof`: a native module's promise may be of another realm. */
export function isPromise<T>(value: T | Promise<T>): value is Promise<T> {
  return (
    typeof value === "object" && value !== null && typeof (value as Promise<T>).then === "function"
  );
}
