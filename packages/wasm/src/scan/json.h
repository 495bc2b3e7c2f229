// The syntax of JSON (RFC 8259). Each function returns where its value ends, or 0 for "ask".

static inline const u8 *space(const u8 *p) {
  while (*p == ' ' || *p == '\t' || *p == '\r') p++;
  return p;
}

static inline int is_digit(u8 c) { return (u8)(c - '0') < 10; }

// An escape; with ESCAPE in the answer if JSON.stringify writes it in another way.
#define ESCAPE (1ULL << 32)
RARE u64 escape(const u8 *p) {
  switch (p[1]) {
    case '"': case '\\': case 'b': case 'f': case 'n': case 'r': case 't':
      return (u32)p + 2;
    case '/':
      return ESCAPE | ((u32)p + 2);
    case 'u':
      for (int i = 2; i < 6; i++) {
        u8 c = p[i], letter = c | 0x20;
        if (!is_digit(c) && !(letter >= 'a' && letter <= 'f')) return 0;
      }
      return ESCAPE | ((u32)p + 6);
    default:
      return 0;
  }
}

// From behind the opening quote. `is_escaped` is set where an escape came that JSON.stringify writes in
// another way. (It is a local of the caller: as a global it cost a quarter of the whole scan: 1.01 GB/s, not 1.30.)
static inline __attribute__((always_inline)) const u8 *text(const u8 *p, u32 *is_escaped) {
  const v128_t quote = wasm_i8x16_splat('"'), backslash = wasm_i8x16_splat('\\'), low = wasm_i8x16_splat(0x20);
  for (;;) {
    v128_t v = wasm_v128_load(p);
    u32 bits = wasm_i8x16_bitmask(wasm_v128_or(
        wasm_v128_or(wasm_i8x16_eq(v, quote), wasm_i8x16_eq(v, backslash)), wasm_u8x16_lt(v, low)));
    if (!bits) { p += 16; continue; }
    p += __builtin_ctz(bits);
    if (*p == '"') return p + 1;
    if (*p != '\\') return 0; // A control character, the newline too.
    u64 escaped = escape(p);
    if (!(p = (const u8 *)(u32)escaped)) return 0;
    *is_escaped |= (u32)(escaped >> 32);
  }
}

RARE const u8 *number(const u8 *p) {
  if (*p == '-') p++;
  if (*p == '0') p++;
  else {
    if (!is_digit(*p)) return 0;
    do p++; while (is_digit(*p));
  }
  if (*p == '.') {
    if (!is_digit(*++p)) return 0;
    do p++; while (is_digit(*p));
  }
  if ((*p | 0x20) == 'e') {
    p++;
    if (*p == '+' || *p == '-') p++;
    if (!is_digit(*p)) return 0;
    do p++; while (is_digit(*p));
  }
  return p;
}

static inline __attribute__((always_inline)) const u8 *scalar(const u8 *p, u32 *is_escaped) {
  switch (*p) {
    case '"': return text(p + 1, is_escaped);
    case 't': return read32(p) == 0x65757274 ? p + 4 : 0;
    case 'f': return read32(p + 1) == 0x65736c61 ? p + 5 : 0;
    case 'n': return read32(p) == 0x6c6c756e ? p + 4 : 0;
  }
  const u8 *q = p;
  while (is_digit(*q)) q++;
  return q == p || *p == '0' || *q == '.' || (*q | 0x20) == 'e' ? number(p) : q;
}

RARE const u8 *container(const u8 *p) {
  static u8 open[MAX_OPEN];
  u32 depth = 0, is_escaped = 0;
  for (;;) { // At a bracket.
    if (depth == MAX_OPEN) return 0;
    u8 bracket = open[depth++] = *p;
    p = space(p + 1);
    if (*p == bracket + 2) { p++; goto closed; }
  item:
    if (open[depth - 1] == '{') {
      if (*p != '"' || !(p = text(p + 1, &is_escaped))) return 0;
      p = space(p);
      if (*p != ':') return 0;
      p = space(p + 1);
    }
    if (*p == '{' || *p == '[') continue;
    if (!(p = scalar(p, &is_escaped))) return 0;
  ended:
    p = space(p);
    if (*p == ',') { p = space(p + 1); goto item; }
    if (*p != open[depth - 1] + 2) return 0;
    p++;
  closed:
    if (--depth == 0) return p;
    goto ended;
  }
}

static inline __attribute__((always_inline)) const u8 *value(const u8 *p, u32 *is_escaped) {
  return *p == '{' || *p == '[' ? container(p) : scalar(p, is_escaped);
}

RARE const u8 *object(const u8 *p, u32 wanted, u32 depth);

// Forgets the values of the fields in `matched`, to which a name leads: of one that stands twice, the last value
// counts. Returns those of them that lie deeper.
RARE u32 forget_values(u32 matched, u32 depth) {
  u32 deeper = 0;
  for (u32 m = matched; m; m &= m - 1) {
    u32 f = __builtin_ctz(m);
    values[f].start = 0;
    if (depths[f] > depth + 1) deeper |= 1u << f;
  }
  return deeper;
}

// The object at `p`. Inlined into its callers, so that a record with one field has no loops over fields.
static inline __attribute__((always_inline)) const u8 *members(const u8 *p, u32 wanted, u32 depth) {
  p = space(p + 1);
  if (*p == '}') return p + 1;
  for (;;) {
    if (*p != '"') return 0;
    const u8 *name = p;
    u32 is_escaped = 0;
    if (!(p = text(p + 1, &is_escaped))) return 0;
    u32 length = p - name, matched = 0;
    if (wanted && is_escaped) return 0;
    for (u32 w = wanted; w; w &= w - 1) {
      u32 f = __builtin_ctz(w);
      if (names[f][depth].length == length && is_same(name, names[f][depth].name, length)) matched |= 1u << f;
    }
    p = space(p);
    if (*p != ':') return 0;
    const u8 *start = p = space(p + 1);
    u32 deeper = matched ? forget_values(matched, depth) : 0;
    is_escaped = 0;
    p = deeper && *p == '{' ? object(p, deeper, depth + 1) : value(p, &is_escaped);
    if (!p) return 0;
    for (u32 m = matched & ~deeper; m; m &= m - 1) {
      struct Value *v = &values[__builtin_ctz(m)];
      v->start = start;
      v->end = p;
      v->flags = is_escaped;
    }
    p = space(p);
    if (*p == '}') return p + 1;
    if (*p != ',') return 0;
    p = space(p + 1);
  }
}

RARE const u8 *object(const u8 *p, u32 wanted, u32 depth) { return members(p, wanted, depth); }
