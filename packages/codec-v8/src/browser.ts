// The exports call a function that throws: a bundler that drops unused code keeps the call.
export const V8: never = unavailable();
export const v8Codec: never = V8;

function unavailable(): never {
  throw new Error(
    "@partd/codec-v8 needs node:v8, which a browser does not have; use @partd/codec-msgpack or @partd/codec-json there.",
  );
}
