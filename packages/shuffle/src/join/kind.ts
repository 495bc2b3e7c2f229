/** Which records and pairs a join yields: see the option `kind` of `join`. */
export type JoinKind = "inner" | "left" | "right" | "full" | "semi" | "anti";

/** What a kind of join yields. */
export interface KindRules {
  /** Pairs of records with the same key. */
  readonly pairs: boolean;
  /** Records on the left without a partner: paired with `undefined`, or alone. */
  readonly unmatchedLeft: "pair" | "alone" | "none";
  /** Records on the right without a partner, paired with `undefined`. */
  readonly unmatchedRight: boolean;
  /** Records on the left that have a partner, alone. */
  readonly matchedLeft: boolean;
}

export const JOIN_KINDS: Readonly<Record<JoinKind, KindRules>> = {
  inner: { pairs: true, unmatchedLeft: "none", unmatchedRight: false, matchedLeft: false },
  left: { pairs: true, unmatchedLeft: "pair", unmatchedRight: false, matchedLeft: false },
  right: { pairs: true, unmatchedLeft: "none", unmatchedRight: true, matchedLeft: false },
  full: { pairs: true, unmatchedLeft: "pair", unmatchedRight: true, matchedLeft: false },
  semi: { pairs: false, unmatchedLeft: "none", unmatchedRight: false, matchedLeft: true },
  anti: { pairs: false, unmatchedLeft: "alone", unmatchedRight: false, matchedLeft: false },
};
