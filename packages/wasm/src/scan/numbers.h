// The values of fields as numbers.

enum { ABSENT = 0, NULLED = 1, NUMBER = 2, TEXT = 3, BOOLEAN = 4, OTHER = 5 };
// Whether a number stands there as JavaScript writes it; no where that is not plain to see.
RARE int is_canonical_number(const u8 *p, const u8 *end) {
  const u8 *whole = *p == '-' ? p + 1 : p, *q = whole;
  u64 n = 0;
  if (end - whole > 16) return 0;
  while (q < end && is_digit(*q)) n = n * 10 + (*q++ - '0');
  if (q == end) return n < 1ULL << 53 && (n > 0 || whole == p); // "-0" is 0.
  if (*q != '.') return 0;
  u32 decimals = end - q - 1;
  if ((q - whole) + decimals > 15 || decimals > 6 || end[-1] == '0') return 0;
  for (q++; q < end; q++) if (!is_digit(*q)) return 0;
  return 1;
}

static const double powers[23] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13,
                                  1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

// A number without exponent whose digits are a whole number up to 2^53: its quotient by a power of ten
// that is a double is rounded once (Clinger 1990), and so right. 0 if it is not such.
static int to_double(const u8 *p, const u8 *end, double *out) {
  int is_negative = *p == '-';
  p += is_negative;
  u64 n = 0;
  u32 digits = 0, decimals = 0, point = 0;
  for (; p < end; p++) {
    if (*p == '.') { point = 1; continue; }
    if (!is_digit(*p)) return 0;
    n = n * 10 + (*p - '0');
    if (n) digits++;
    decimals += point;
  }
  if (digits > 18 || n > 1ULL << 53 || decimals > 22) return 0;
  double d = (double)n / powers[decimals];
  *out = is_negative ? -d : d;
  return 1;
}

RARE int set_number(u32 i, u32 index, const struct Value *v, int is_csv) {
  u32 at = index * state.capacity + i;
  u8 kind;
  state.numbers[at] = __builtin_nan("");
  if (!v->start) kind = ABSENT;
  else if (is_csv) {
    if (v->start == v->end) kind = v->flags & QUOTED ? TEXT : NULLED;
    else kind = number(v->start) == v->end ? NUMBER : TEXT;
  } else switch (*v->start) {
    case '"': kind = TEXT; break;
    case '{': case '[': kind = OTHER; break;
    case 't': case 'f': kind = BOOLEAN; break;
    case 'n': kind = NULLED; break;
    default: kind = NUMBER;
  }
  state.kinds[at] = kind;
  return kind != NUMBER || to_double(v->start, v->end, &state.numbers[at]);
}
