/** Bytes of memory that this page or worker may use: what the browser tells of the device's. */
export function memoryLimit(): number {
  const { navigator } = globalThis as { navigator?: { deviceMemory?: number } };
  return (navigator?.deviceMemory ?? ASSUMED) * 2 ** 30;
}

/** Gibibytes where nothing is known. */
const ASSUMED = 2;
