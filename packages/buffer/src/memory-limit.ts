/** Bytes of memory that this page or worker may use, as far as the browser tells. */
export function memoryLimit(): number {
  const { navigator } = globalThis as { navigator?: { deviceMemory?: number } };
  return (navigator?.deviceMemory ?? ASSUMED) * 2 ** 30;
}

/** In gibibytes, if the browser does not tell. */
const ASSUMED = 2;
