import { Acknowledged, ValuesAnswer } from "./answer.js";
import { Type } from "./protocol.js";
import { BatchBody, KeysBody, Request } from "./request.js";

/**
 * One of each object that a small request takes. Where none is left at a full collection, V8
 * forgets what such objects look like, and throws away all code that it has compiled for them: the
 * next burst of small appends would take several times as long.
 */
export function shapes(): readonly object[] {
  const batch = { keys: ["x"], values: [new Uint8Array(1)], byteLength: 1 };
  return [
    new Request(Type.APPEND, new BatchBody(batch), new Acknowledged()),
    new Request(Type.GET, new KeysBody(["x"]), new ValuesAnswer(1)),
  ];
}
