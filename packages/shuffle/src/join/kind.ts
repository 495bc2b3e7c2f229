/** Which records and pairs a join yields: see the option `kind` of `join`. */
export type JoinKind = "inner" | "left" | "right" | "full" | "semi" | "anti";

/** What a kind of join yields. */
export interface KindRules {
  /** Pairs of records with the same key. */
  readonly pairs: boolean;
  /** Records on the left without a partner: paired with `undefined`, or alone. */
  readonly lonelyLeft: "pair" | "alone" | "none";
  readonly lonelyRight: boolean;
  /** Records on the left that have a partner, alone. */
  readonly matchedLeft: boolean;
}

export const kinds: Readonly<Record<JoinKind, KindRules>> = {
  inner: { pairs: true, lonelyLeft: "none", lonelyRight: false, matchedLeft: false },
  left: { pairs: true, lonelyLeft: "pair", lonelyRight: false, matchedLeft: false },
  right: { pairs: true, lonelyLeft: "none", lonelyRight: true, matchedLeft: false },
  full: { pairs: true, lonelyLeft: "pair", lonelyRight: true, matchedLeft: false },
  semi: { pairs: false, lonelyLeft: "none", lonelyRight: false, matchedLeft: true },
  anti: { pairs: false, lonelyLeft: "alone", lonelyRight: false, matchedLeft: false },
};
