// Scans rows of CSV (RFC 4180).

// The characters that mean something, 64 bytes at a time: a bit for each that is left.
struct Special { const u8 *block; u64 left; v128_t delimiter, quote; };

static inline u64 bits(v128_t a, v128_t b, v128_t c, v128_t d) {
  return (u64)wasm_i8x16_bitmask(a) | (u64)wasm_i8x16_bitmask(b) << 16 |
         (u64)wasm_i8x16_bitmask(c) << 32 | (u64)wasm_i8x16_bitmask(d) << 48;
}

static inline u64 equal(const u8 *p, v128_t c) {
  return bits(wasm_i8x16_eq(wasm_v128_load(p), c), wasm_i8x16_eq(wasm_v128_load(p + 16), c),
              wasm_i8x16_eq(wasm_v128_load(p + 32), c), wasm_i8x16_eq(wasm_v128_load(p + 48), c));
}

static inline v128_t any_special(const struct Special *s, const u8 *p) {
  v128_t v = wasm_v128_load(p);
  return wasm_v128_or(wasm_v128_or(wasm_i8x16_eq(v, s->delimiter), wasm_i8x16_eq(v, s->quote)),
                      wasm_i8x16_eq(v, wasm_i8x16_splat('\n')));
}

static inline u64 specials(const struct Special *s, const u8 *p) {
  return bits(any_special(s, p), any_special(s, p + 16), any_special(s, p + 32), any_special(s, p + 48));
}

// The next one. A newline ends the input, so that there is one.
static inline const u8 *special(struct Special *s) {
  while (!s->left) s->left = specials(s, s->block += 64);
  const u8 *p = s->block + __builtin_ctzll(s->left);
  s->left &= s->left - 1;
  return p;
}

// Goes on to the newline that ends a row without quotes, by counting its delimiters. Goes nowhere and
// returns 0 if there is a quote.
static inline const u8 *rest_of_row(struct Special *s, u32 *column) {
  const u8 *block = s->block;
  u64 left = s->left;
  u32 count = 0;
  for (;;) {
    u64 newlines = left & equal(block, wasm_i8x16_splat('\n')), first = newlines & -newlines;
    u64 passed = left & (first - 1); // All, if there is no newline.
    u64 delimiters = passed & equal(block, s->delimiter);
    if (passed != delimiters) return 0;
    count += __builtin_popcountll(delimiters);
    if (first) {
      s->block = block;
      s->left = left & ~(first | (first - 1));
      *column += count;
      return block + __builtin_ctzll(first);
    }
    left = specials(s, block += 64);
  }
}

// Returns the newline that ends the row, or 0 for "ask". No column from `wanted` on is a field.
static inline const u8 *row(const u8 *p, const u8 *end, struct Special *s, u32 wanted) {
  u32 column = 0, fields = state.fields;
  for (;;) {
    if (column == wanted) {
      const u8 *q = rest_of_row(s, &column);
      if (q) return q < end && column + 1 == state.width ? q : 0;
    }
    const u8 *start = p, *q = special(s), *stop;
    u32 flags = 0;
    if (state.quote && *q == '"') {
      if (q != p) return 0;
      start = p + 1;
      flags = QUOTED;
      for (;;) {
        do { q = special(s); if (q >= end) return 0; } while (*q != '"');
        if (q[1] != '"') break;
        special(s);
        flags |= ESCAPED;
      }
      stop = q;
      q++;
      if (*q == '\r' && q[1] == '\n') q++;
      if (*q != state.delimiter && *q != '\n') return 0;
      if (special(s) != q) return 0;
    } else {
      stop = q;
      if (*q == '\n' && q > start && q[-1] == '\r') stop--;
    }
    if (q >= end) return 0;
    for (u32 f = 0; f < fields; f++) {
      if (columns[f] != column) continue;
      values[f].start = start;
      values[f].end = stop;
      values[f].flags = flags;
    }
    column++;
    if (*q == '\n') return column == state.width ? q : 0;
    p = q + 1;
  }
}

// The text of a field as a JSON string. Returns its end, or 0 for "ask".
static inline u8 *quoted_key(u8 *to, const struct Value *v) {
  const u8 *p = v->start;
  const v128_t quote = wasm_i8x16_splat('"'), backslash = wasm_i8x16_splat('\\'), low = wasm_i8x16_splat(0x20);
  if (v->flags & ESCAPED) return 0;
  *to++ = '"';
  for (;; p += 16, to += 16) {
    v128_t x = wasm_v128_load(p);
    u32 n = v->end - p, escaped = wasm_i8x16_bitmask(wasm_v128_or(
        wasm_v128_or(wasm_i8x16_eq(x, quote), wasm_i8x16_eq(x, backslash)), wasm_u8x16_lt(x, low)));
    wasm_v128_store(to, x);
    if (n < 16) {
      if (escaped & ((1u << n) - 1)) return 0;
      to += n;
      break;
    }
    if (escaped) return 0;
  }
  *to++ = '"';
  return to;
}

EXPORT("scanCsv") u32 scan_csv(void) {
  const u8 *p = state.at, *end = state.end;
  u32 wanted = 0;
  for (u32 f = 0; f < state.fields; f++) // One that is not there has no column below `width`.
    if (columns[f] < state.width && columns[f] >= wanted) wanted = columns[f] + 1;
  struct Special s;
  s.delimiter = wasm_i8x16_splat(state.delimiter);
  s.quote = wasm_i8x16_splat(state.quote ? '"' : '\n');
  s.block = p;
  s.left = specials(&s, p);
  while (p < end) {
    state.at = (u8 *)p;
    if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
      special(&s);
      p += *p == '\n' ? 1 : 2;
      continue;
    }
    for (u32 f = 0; f < state.fields; f++) values[f].start = 0;
    const u8 *newline = row(p, end, &s, wanted);
    if (!newline || (state.has_high && !is_utf8(p, newline))) return ASK;
    u32 i = state.count;
    for (u32 f = state.keys; f < state.fields; f++)
      if ((values[f].flags & ESCAPED && values[f].start) || !set_number(i, f - state.keys, &values[f], 1)) return ASK;
    if (state.keys > 0) {
      // The texts in quotes stand in the arena; a key of several is built behind them.
      u8 *arena = state.arena;
      struct Value items[MAX_FIELDS];
      for (u32 f = 0; f < state.keys; f++) {
        items[f].start = 0;
        if (!values[f].start) continue;
        items[f].start = arena;
        if (!(arena = quoted_key(arena, &values[f]))) return ASK;
        items[f].end = arena;
      }
      if (state.keys > 1) state.arena = list_key(i, items, state.keys, arena);
      else {
        state.is_missing[i] = !items[0].start;
        if (items[0].start) set_key(i, items[0].start, items[0].end - items[0].start, 0);
        else set_key(i, state.missing, 1, 0);
        state.arena = arena;
      }
    }
    keep(p, newline + 1);
    p = newline + 1;
  }
  state.at = (u8 *)p;
  return DONE;
}
