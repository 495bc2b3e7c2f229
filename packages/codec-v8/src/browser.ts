throw new Error(
  "@partd/codec-v8 needs node:v8, which a browser does not have; use @partd/codec-msgpack or @partd/codec-json there.",
);
