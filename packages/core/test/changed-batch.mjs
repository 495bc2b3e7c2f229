// In a process of its own: under jest, whose arrays are of another realm, V8 compiles other code.
import { checkIntact } from "@partd/core/author";

const batchOf = (...values) => ({
  keys: values.map((_, i) => `k${i}`),
  values,
  byteLength: values.reduce((sum, { byteLength }) => sum + byteLength, 0),
});
// Until V8 compiles it, for arrays of both sorts.
for (let i = 0; i < 20_000; i++) {
  const memory = i % 5 === 0 ? new ArrayBuffer(9, { maxByteLength: 20 }) : new ArrayBuffer(9);
  checkIntact(batchOf(new Uint8Array(memory), new Uint8Array(9)));
}
const lost = batchOf(new Uint8Array(9), new Uint8Array(9));
const { buffer } = lost.values[1];
structuredClone(buffer, { transfer: [buffer] });
try {
  checkIntact(lost);
} catch (error) {
  console.log(error.code, error.key);
}
