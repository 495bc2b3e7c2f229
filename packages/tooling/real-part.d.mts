/** A program that tests need besides Node. */
export interface RealPart {
  readonly name: string;
  /** What to install, in one line. */
  readonly need: string;
  /** The path to run; undefined where it is not installed. */
  readonly command: string | undefined;
}

export declare const realPart: {
  /** Debian's own Python, when it can import all of `modules` ("partd", "numpy" ...). */
  python(...modules: string[]): RealPart;
  redisServer(): RealPart;
  redisCli(): RealPart;
  chromium(): RealPart;
  openssl(): RealPart;
  /** Any other program: its name, and the Debian package it comes with if that has another. */
  program(name: string, debian?: string): RealPart;
};

/**
 * `describe`, where all of `parts` are installed. Elsewhere the block is skipped and one
 * line says what to install; under CI=true it fails.
 */
export declare function describeReal(
  parts: RealPart | readonly RealPart[],
  title: string,
  body: () => void,
): void;
