export default function teardown() {
  globalThis.partdS3?.stop();
}
