// Scans lines of JSON and rows of CSV for fields, without parsing them: what @partd/records uses.
//
// Nothing here decides that a record is malformed. Whatever is not plain (a fault, an escape or a
// number that JSON.stringify writes in another way, bytes that are not UTF-8, a list as a key) ends
// the scan with ASK at that record, and the plain scanner in JavaScript decides and goes on behind
// it. So that both give the same answers, this side has only to be right where it says yes.
//
// JavaScript lays out the memory: the input, ended by a newline and SLACK bytes that may be read but
// mean nothing, then the arrays of `State`, then the arena of keys, which may grow.
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#define EXPORT(name) __attribute__((export_name(name)))

enum { DONE = 0, ASK = 1 };
enum { MAX_FIELDS = 32, MAX_DEPTH = 8, MAX_OPEN = 512 };

static struct State {
  u8 *at;         // The next record.
  u8 *end;        // Of the input.
  u8 *base;       // Of the records that are kept: they move down where one is left out.
  u8 *kept;       // The end of those.
  u32 count;      // How many.
  u8 *arena;      // Free memory for keys.
  u32 keys;       // Fields that make the key; those behind them are values.
  u32 fields;     // All of them.
  u32 has_high;   // Whether any byte of the input is above 0x7f.
  u8 *missing;    // An encoded key: the missing one.
  u32 *ends, *key_starts, *key_ends, *hash_low, *hash_high;
  u8 *is_missing;
  double *numbers; // `capacity` for each value field.
  u8 *kinds;
  u32 capacity;
  u32 delimiter, quote, width; // Of CSV.
} state;

EXPORT("state") void *state_address(void) { return &state; }

extern u8 __heap_base;
EXPORT("heap") void *heap_address(void) { return &__heap_base; }

static inline u32 read32(const u8 *p) { u32 v; __builtin_memcpy(&v, p, 4); return v; }
static inline u64 read64(const u8 *p) { u64 v; __builtin_memcpy(&v, p, 8); return v; }

// ---- The fields that are sought.

static struct { const u8 *name; u32 length; } names[MAX_FIELDS][MAX_DEPTH];
static u32 depths[MAX_FIELDS];
static u32 columns[MAX_FIELDS];

// A name along a field's path: JSON text with its quotes.
EXPORT("setName") void set_name(u32 field, u32 depth, const u8 *name, u32 length) {
  names[field][depth].name = name;
  names[field][depth].length = length;
  depths[field] = depth + 1;
}
EXPORT("setColumn") void set_column(u32 field, u32 column) { columns[field] = column; }

// What the last record holds. No start is no value.
static struct Value { const u8 *start, *end; u32 flags; } values[MAX_FIELDS];
enum { ESCAPED = 1, QUOTED = 2 };

// ---- XXH64, seed 0.

#define P1 0x9E3779B185EBCA87ULL
#define P2 0xC2B2AE3D27D4EB4FULL
#define P3 0x165667B19E3779F9ULL
#define P4 0x85EBCA77C2B2AE63ULL
#define P5 0x27D4EB2F165667C5ULL
static inline u64 rotl(u64 x, int bits) { return (x << bits) | (x >> (64 - bits)); }
static inline u64 lane_round(u64 lane, u64 input) { return rotl(lane + input * P2, 31) * P1; }

static inline u64 xxh64(const u8 *p, u32 length) {
  const u8 *end = p + length;
  u64 h = P5;
  if (length >= 32) {
    u64 a = P1 + P2, b = P2, c = 0, d = -P1;
    do {
      a = lane_round(a, read64(p));
      b = lane_round(b, read64(p + 8));
      c = lane_round(c, read64(p + 16));
      d = lane_round(d, read64(p + 24));
      p += 32;
    } while (p + 32 <= end);
    h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
    h = (h ^ lane_round(0, a)) * P1 + P4;
    h = (h ^ lane_round(0, b)) * P1 + P4;
    h = (h ^ lane_round(0, c)) * P1 + P4;
    h = (h ^ lane_round(0, d)) * P1 + P4;
  }
  h += length;
  for (; p + 8 <= end; p += 8) h = rotl(h ^ lane_round(0, read64(p)), 27) * P1 + P4;
  if (p + 4 <= end) {
    h = rotl(h ^ read32(p) * P1, 23) * P2 + P3;
    p += 4;
  }
  for (; p < end; p++) h = rotl(h ^ *p * P5, 11) * P1;
  h = (h ^ (h >> 33)) * P2;
  h = (h ^ (h >> 29)) * P3;
  return h ^ (h >> 32);
}

// ---- Bytes.

// Copies exactly `n` bytes between places that do not overlap.
static inline void copy(u8 *to, const u8 *from, u32 n) {
  if (n >= 16) {
    for (u32 i = 0; i + 16 <= n; i += 16) wasm_v128_store(to + i, wasm_v128_load(from + i));
    wasm_v128_store(to + n - 16, wasm_v128_load(from + n - 16));
    return;
  }
  for (u32 i = 0; i < n; i++) to[i] = from[i];
}

// Newlines of the input, and has_high.
EXPORT("survey") u32 survey(const u8 *p, const u8 *end) {
  u32 lines = 0;
  v128_t high = wasm_i8x16_splat(0), newline = wasm_i8x16_splat('\n');
  for (; p + 16 <= end; p += 16) {
    v128_t v = wasm_v128_load(p);
    high = wasm_v128_or(high, v);
    lines += __builtin_popcount(wasm_i8x16_bitmask(wasm_i8x16_eq(v, newline)));
  }
  u8 rest = 0;
  for (; p < end; p++) {
    lines += *p == '\n';
    rest |= *p;
  }
  state.has_high = wasm_i8x16_bitmask(high) != 0 || rest >= 0x80;
  return lines;
}

// Unicode 16, table 3-7. What follows the last byte is a newline, which is no tail.
static int is_utf8(const u8 *p, const u8 *end) {
  while (p < end) {
    while (p + 16 <= end && wasm_i8x16_bitmask(wasm_v128_load(p)) == 0) p += 16;
    if (p >= end) break;
    u8 a = p[0];
    if (a < 0x80) { p++; continue; }
    u8 b = p[1];
    if (a < 0xc2) return 0;
    if (a < 0xe0) {
      if ((b & 0xc0) != 0x80) return 0;
      p += 2;
    } else if (a < 0xf0) {
      if (b < (a == 0xe0 ? 0xa0 : 0x80) || b > (a == 0xed ? 0x9f : 0xbf)) return 0;
      if ((p[2] & 0xc0) != 0x80) return 0;
      p += 3;
    } else {
      if (a > 0xf4 || b < (a == 0xf0 ? 0x90 : 0x80) || b > (a == 0xf4 ? 0x8f : 0xbf)) return 0;
      if ((p[2] & 0xc0) != 0x80 || (p[3] & 0xc0) != 0x80) return 0;
      p += 4;
    }
  }
  return p == end;
}

static inline int is_same(const u8 *a, const u8 *b, u32 n) {
  for (; n >= 8; a += 8, b += 8, n -= 8) if (read64(a) != read64(b)) return 0;
  while (n--) if (*a++ != *b++) return 0;
  return 1;
}

// ---- JSON. Each function returns where its value ends, or 0 for "ask".

static inline const u8 *space(const u8 *p) {
  while (*p == ' ' || *p == '\t' || *p == '\r') p++;
  return p;
}

static inline int is_digit(u8 c) { return (u8)(c - '0') < 10; }

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
    switch (p[1]) {
      case '"': case '\\': case 'b': case 'f': case 'n': case 'r': case 't':
        p += 2;
        break;
      case '/':
        *is_escaped = 1;
        p += 2;
        break;
      case 'u':
        for (int i = 2; i < 6; i++) {
          u8 c = p[i], letter = c | 0x20;
          if (!is_digit(c) && !(letter >= 'a' && letter <= 'f')) return 0;
        }
        *is_escaped = 1;
        p += 6;
        break;
      default:
        return 0;
    }
  }
}

static inline const u8 *number(const u8 *p) {
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
    default: return number(p);
  }
}

static const u8 *container(const u8 *p) {
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

static const u8 *object(const u8 *p, u32 wanted, u32 depth);

// A value to which the names of the fields in `matched` lead.
static inline const u8 *field_value(const u8 *p, u32 matched, u32 depth) {
  u32 deeper = 0;
  for (u32 m = matched; m; m &= m - 1) {
    u32 f = __builtin_ctz(m);
    values[f].start = 0; // A name that stands twice: the last one counts.
    if (depths[f] > depth + 1) deeper |= 1u << f;
  }
  u32 is_escaped = 0;
  const u8 *end = deeper && *p == '{' ? object(p, deeper, depth + 1) : value(p, &is_escaped);
  if (!end) return 0;
  for (u32 m = matched & ~deeper; m; m &= m - 1) {
    struct Value *v = &values[__builtin_ctz(m)];
    v->start = p;
    v->end = end;
    v->flags = is_escaped;
  }
  return end;
}

// The object at `p`. Inlined into its callers, so that a record with one field has no loops over fields.
static inline __attribute__((always_inline)) const u8 *members(const u8 *p, u32 wanted, u32 depth) {
  p = space(p + 1);
  if (*p == '}') return p + 1;
  for (;;) {
    if (*p != '"') return 0;
    const u8 *name = p;
    u32 is_escaped = 0, ignored;
    if (!(p = text(p + 1, &is_escaped))) return 0;
    u32 length = p - name, matched = 0;
    if (wanted && is_escaped) return 0;
    for (u32 w = wanted; w; w &= w - 1) {
      u32 f = __builtin_ctz(w);
      if (names[f][depth].length == length && is_same(name, names[f][depth].name, length)) matched |= 1u << f;
    }
    p = space(p);
    if (*p != ':') return 0;
    p = space(p + 1);
    p = matched ? field_value(p, matched, depth) : value(p, &ignored);
    if (!p) return 0;
    p = space(p);
    if (*p == '}') return p + 1;
    if (*p != ',') return 0;
    p = space(p + 1);
  }
}

static const u8 *object(const u8 *p, u32 wanted, u32 depth) { return members(p, wanted, depth); }

// Whether a number stands there as JavaScript writes it; no where that is not plain to see.
static int is_canonical_number(const u8 *p, const u8 *end) {
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

// ---- Keys.

// The hash of record `i`, whose key stands at `key`, and will at `shift` bytes less.
static inline void set_key(u32 i, const u8 *key, u32 length, u32 shift) {
  u64 h = xxh64(key, length);
  state.key_starts[i] = (u32)key - shift;
  state.key_ends[i] = (u32)key - shift + length;
  state.hash_low[i] = (u32)h;
  state.hash_high[i] = (u32)(h >> 32);
}

// The key of several fields, whose encoded keys stand one behind the other in `items`: a JSON list,
// or, with a missing item, a list of lengths and keys. Returns the end of the arena.
static u8 *list_key(u32 i, struct Value *items, u32 n, u8 *arena) {
  u8 *p = arena;
  u32 is_missing = 0;
  for (u32 f = 0; f < n; f++) is_missing |= !items[f].start;
  if (is_missing) {
    *p++ = 4;
    for (u32 f = 0; f < n; f++) {
      u32 length = items[f].start ? items[f].end - items[f].start : 1;
      *p++ = length >> 24; *p++ = length >> 16; *p++ = length >> 8; *p++ = length;
      if (items[f].start) copy(p, items[f].start, length);
      else *p = 0;
      p += length;
    }
  } else {
    *p++ = '[';
    for (u32 f = 0; f < n; f++) {
      u32 length = items[f].end - items[f].start;
      copy(p, items[f].start, length);
      p += length;
      *p++ = f + 1 < n ? ',' : ']';
    }
  }
  set_key(i, arena, p - arena, 0);
  state.is_missing[i] = is_missing;
  return p;
}

// ---- Values as numbers.

enum { ABSENT = 0, NULLED = 1, NUMBER = 2, TEXT = 3, BOOLEAN = 4, OTHER = 5 };

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

static int set_number(u32 i, u32 index, const struct Value *v, int is_csv) {
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

// Keeps the record `[from, to)`.
static inline void keep(const u8 *from, const u8 *to) {
  u32 length = to - from;
  if (state.kept != from) __builtin_memmove(state.kept, from, length);
  state.kept += length;
  state.ends[state.count++] = state.kept - state.base;
}

// What JavaScript decided on the record at `at`: the key, which it wrote to the arena, then the record.
EXPORT("addKey") void add_key(u32 length, u32 is_missing) {
  set_key(state.count, state.arena, length, 0);
  state.is_missing[state.count] = is_missing;
  state.arena += length;
}
EXPORT("keep") void keep_record(u32 length) { keep(state.at, state.at + length); }

// ---- Lines of JSON.

static inline int json_record(const u8 *p, const u8 **end) {
  u32 fields = state.fields, keys = state.keys;
  for (u32 f = 0; f < fields; f++) values[f].start = 0;
  const u8 *q;
  u32 ignored;
  if (*p != '{') q = value(p, &ignored);
  else if (fields == 1) q = members(p, 1, 0);
  else q = members(p, fields == 32 ? ~0u : (1u << fields) - 1, 0);
  if (!q) return ASK;
  q = space(q);
  if (*q != '\n') return ASK;
  *end = q + 1;
  if (state.has_high && !is_utf8(p, q)) return ASK;
  for (u32 f = 0; f < keys; f++) {
    struct Value *v = &values[f];
    if (!v->start) continue;
    u8 first = *v->start;
    if (first == '"') {
      if (v->flags & ESCAPED) return ASK;
    } else if (first == '{' || first == '[') return ASK;
    else if (first < 'a' && !is_canonical_number(v->start, v->end)) return ASK;
  }
  return DONE;
}

EXPORT("scanJson") u32 scan_json(void) {
  const u8 *p = state.at, *end = state.end;
  while (p < end) {
    state.at = (u8 *)p;
    const u8 *start = space(p), *next;
    if (*start == '\n') { p = start + 1; continue; }
    if (json_record(start, &next) == ASK) return ASK;
    u32 i = state.count, shift = p - state.kept;
    for (u32 f = state.keys; f < state.fields; f++)
      if (!set_number(i, f - state.keys, &values[f], 0)) return ASK;
    if (state.keys == 1) {
      struct Value *v = &values[0];
      state.is_missing[i] = !v->start;
      if (v->start) set_key(i, v->start, v->end - v->start, shift);
      else set_key(i, state.missing, 1, 0);
    } else if (state.keys > 1) state.arena = list_key(i, values, state.keys, state.arena);
    keep(p, next);
    p = next;
  }
  state.at = (u8 *)p;
  return DONE;
}

// ---- Rows of CSV.

// The characters that mean something, sixteen bytes at a time.
struct Special { const u8 *block; u32 bits; v128_t delimiter, quote; };

static inline void load(struct Special *s) {
  v128_t v = wasm_v128_load(s->block);
  s->bits = wasm_i8x16_bitmask(wasm_v128_or(
      wasm_v128_or(wasm_i8x16_eq(v, s->delimiter), wasm_i8x16_eq(v, s->quote)),
      wasm_i8x16_eq(v, wasm_i8x16_splat('\n'))));
}

// The next one. A newline ends the input, so that there is one.
static inline const u8 *special(struct Special *s) {
  while (!s->bits) { s->block += 16; load(s); }
  const u8 *p = s->block + __builtin_ctz(s->bits);
  s->bits &= s->bits - 1;
  return p;
}

// Returns the newline that ends the row, or 0 for "ask".
static inline const u8 *row(const u8 *p, const u8 *end, struct Special *s) {
  u32 column = 0, fields = state.fields;
  for (;;) {
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
  for (; p + 16 <= v->end; p += 16, to += 16) {
    v128_t x = wasm_v128_load(p);
    if (wasm_v128_any_true(wasm_v128_or(
            wasm_v128_or(wasm_i8x16_eq(x, quote), wasm_i8x16_eq(x, backslash)), wasm_u8x16_lt(x, low))))
      return 0;
    wasm_v128_store(to, x);
  }
  for (; p < v->end; p++) {
    if (*p < 0x20 || *p == '"' || *p == '\\') return 0;
    *to++ = *p;
  }
  *to++ = '"';
  return to;
}

EXPORT("scanCsv") u32 scan_csv(void) {
  const u8 *p = state.at, *end = state.end;
  struct Special s;
  s.delimiter = wasm_i8x16_splat(state.delimiter);
  s.quote = wasm_i8x16_splat(state.quote ? '"' : '\n');
  s.block = p;
  load(&s);
  while (p < end) {
    state.at = (u8 *)p;
    if (*p == '\n' || (*p == '\r' && p[1] == '\n')) {
      special(&s);
      p += *p == '\n' ? 1 : 2;
      continue;
    }
    for (u32 f = 0; f < state.fields; f++) values[f].start = 0;
    const u8 *newline = row(p, end, &s);
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

// ---- By partition: a counting sort.

// The partition of each record, of `n` in all, by its key's hash.
EXPORT("assign") void assign(u32 n, u32 *partition) {
  for (u32 i = 0; i < state.count; i++) partition[i] = ((u64)state.hash_high[i] * n) >> 32;
}

// Copies each record to the end of its partition's region. `offsets` (n + 1), `counts` and `next` (n)
// come in zeroed.
EXPORT("scatter") void scatter(u32 n, const u32 *partition, u32 *offsets, u32 *counts, u32 *next, u8 *out) {
  u32 start = 0;
  for (u32 i = 0; i < state.count; i++) {
    u32 k = partition[i], end = state.ends[i];
    offsets[k + 1] += end - start;
    counts[k]++;
    start = end;
  }
  for (u32 k = 0; k < n; k++) {
    next[k] = offsets[k];
    offsets[k + 1] += offsets[k];
  }
  start = 0;
  for (u32 i = 0; i < state.count; i++) {
    u32 k = partition[i], end = state.ends[i];
    copy(out + next[k], state.base + start, end - start);
    next[k] += end - start;
    start = end;
  }
}

// ---- Totals by key, which outlive batches.

// A slot and, by the key's number, a row of doubles: the records, then for each value field how many numbers,
// their sum, the least and the greatest. 16 bytes of the key in the slot spare most lookups a cache miss.
struct Slot { u32 low, high, mark, length; u8 prefix[16]; }; // The mark is the number and 1; 0 is a free slot.

// JavaScript lays it out, with room for as many keys as the batch has records.
static struct Totals {
  struct Slot *slots;
  u32 mask;       // Slots less 1.
  double *rows;
  u32 *ends;      // Of the keys.
  u8 *bytes;      // The keys, end to end.
  u32 room;       // For those.
  u32 count;      // Keys.
  u32 touched;    // Means nothing.
} totals;

EXPORT("totals") void *totals_address(void) { return &totals; }

// Not by memcpy, which reads no more than there are: the arena and the input have 16 bytes behind each key.
static inline v128_t prefix_of(const u8 *key, u32 length) {
  static const u8 window[32] = {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255};
  v128_t bytes = wasm_v128_load(key);
  return length >= 16 ? bytes : wasm_v128_and(bytes, wasm_v128_load(window + 16 - length));
}

static inline u32 key_start(u32 number) { return number == 0 ? 0 : totals.ends[number - 1]; }

static inline struct Slot *free_slot(u32 low) {
  u32 at = low & totals.mask;
  while (totals.slots[at].mark) at = (at + 1) & totals.mask;
  return &totals.slots[at];
}

static inline void take_slot(struct Slot *slot, u32 low, u32 high, u32 number, const u8 *key, u32 length) {
  slot->low = low;
  slot->high = high;
  slot->mark = number + 1;
  slot->length = length;
  wasm_v128_store(slot->prefix, prefix_of(key, length));
}

// Fills the empty slots with all keys.
EXPORT("fillSlots") void fill_slots(void) {
  for (u32 n = 0; n < totals.count; n++) {
    u32 start = key_start(n), length = totals.ends[n] - start;
    u64 h = xxh64(totals.bytes + start, length);
    take_slot(free_slot((u32)h), (u32)h, (u32)(h >> 32), n, totals.bytes + start, length);
  }
}

// The slot of record `i`'s key, or a free one.
static inline struct Slot *slot_of(u32 i) {
  const u8 *key = (const u8 *)state.key_starts[i];
  u32 low = state.hash_low[i], high = state.hash_high[i], length = state.key_ends[i] - state.key_starts[i];
  v128_t prefix = prefix_of(key, length);
  u32 at = low & totals.mask;
  struct Slot *slot;
  for (; (slot = &totals.slots[at])->mark; at = (at + 1) & totals.mask) {
    if (slot->low != low || slot->high != high || slot->length != length) continue;
    if (!wasm_i8x16_all_true(wasm_i8x16_eq(prefix, wasm_v128_load(slot->prefix)))) continue;
    if (length <= 16 || is_same(key, totals.bytes + key_start(slot->mark - 1), length)) break;
  }
  return slot;
}

// The number of record `i`'s key. A new key has that of the count.
static inline u32 number_of(u32 i) {
  struct Slot *slot = slot_of(i);
  if (slot->mark) return slot->mark - 1;
  const u8 *key = (const u8 *)state.key_starts[i];
  u32 length = state.key_ends[i] - state.key_starts[i], number = totals.count++, start = key_start(number);
  copy(totals.bytes + start, key, length);
  totals.ends[number] = start + length;
  take_slot(slot, state.hash_low[i], state.hash_high[i], number, key, length);
  return number;
}

// Without branches between them the processor fetches many slots at a time.
static inline void touch_slots(u32 from, u32 to) {
  u32 touched = 0;
  for (u32 i = from; i < to; i++) touched ^= totals.slots[state.hash_low[i] & totals.mask].low;
  totals.touched = touched;
}

// Adds all records of the batch, or none and returns 0: a value is neither a number nor null, or the keys have
// no room.
EXPORT("addToTotals") u32 add_to_totals(u32 *numbers) {
  u32 count = state.count, fields = state.fields - state.keys, width = 1 + 4 * fields, key_bytes = 0;
  for (u32 v = 0; v < fields; v++) {
    const u8 *kinds = state.kinds + v * state.capacity;
    for (u32 i = 0; i < count; i++) if (kinds[i] > NUMBER) return 0;
  }
  for (u32 i = 0; i < count; i++) key_bytes += state.key_ends[i] - state.key_starts[i];
  if (key_bytes > totals.room - (totals.count ? key_start(totals.count) : 0)) return 0;
  for (u32 from = 0; from < count; from += 256) {
    u32 to = from + 256 < count ? from + 256 : count;
    touch_slots(from, to);
    for (u32 i = from; i < to; i++) {
      u32 keys = totals.count, number = number_of(i);
      numbers[i] = number;
      if (totals.count == keys) continue;
      double *row = totals.rows + number * width;
      row[0] = 0;
      for (u32 v = 0; v < fields; v++) {
        row[4 * v + 1] = row[4 * v + 2] = 0;
        row[4 * v + 3] = __builtin_inf();
        row[4 * v + 4] = -__builtin_inf();
      }
    }
    for (u32 i = from; i < to; i++) {
      double *row = totals.rows + numbers[i] * width;
      row[0]++;
      for (u32 v = 0; v < fields; v++) {
        if (state.kinds[v * state.capacity + i] != NUMBER) continue;
        double x = state.numbers[v * state.capacity + i], *values = row + 4 * v;
        values[1]++;
        values[2] += x;
        if (x < values[3]) values[3] = x;
        if (x > values[4]) values[4] = x;
      }
    }
  }
  return 1;
}

// ---- Partners: records kept by key, for the records of another source.

// A kept record, whose bytes follow, without the newline. Records of a key are linked in their order.
struct Kept { u32 next, length; };
// Of a key; a row of the totals. All three are offsets from the base; 0 is none.
struct Chain { u32 first, last; };

// JavaScript lays it out behind the totals, with room for a batch.
static struct Partners {
  u8 *base;
  u32 used;     // Bytes. Some are at the beginning, since 0 is none.
  u32 record;   // The record that is being joined.
  u32 partner;  // Its next partner.
  u32 needed;   // Bytes of the line that the output had no room for.
} partners;

EXPORT("partners") void *partners_address(void) { return &partners; }

// Whether record `i` has a key that is no key to join by: missing, null, or a list with such an item.
static int matches_nothing(u32 i) {
  const u8 *p = (const u8 *)state.key_starts[i], *end = (const u8 *)state.key_ends[i];
  if (state.is_missing[i] || *p == 'n') return 1;
  if (*p != '[') return 0;
  u32 depth = 0;
  for (; p < end; p++) {
    if (*p == '"') { for (p++; *p != '"'; p++) if (*p == '\\') p++; }
    else if (*p == '[') depth++;
    else if (*p == ']') depth--;
    else if (*p == 'n' && depth == 1) return 1;
  }
  return 0;
}

// Keeps all records of the batch that can have a partner.
EXPORT("keepRecords") void keep_records(void) {
  u32 start = 0;
  for (u32 i = 0; i < state.count; i++) {
    u32 from = start, length = state.ends[i] - start - 1;
    start = state.ends[i];
    if (matches_nothing(i)) continue;
    u32 keys = totals.count;
    struct Chain *chain = &((struct Chain *)totals.rows)[number_of(i)];
    struct Kept *kept = (struct Kept *)(partners.base + partners.used);
    kept->next = 0;
    kept->length = length;
    copy((u8 *)(kept + 1), state.base + from, length);
    if (totals.count != keys) chain->first = partners.used;
    else ((struct Kept *)(partners.base + chain->last))->next = partners.used;
    chain->last = partners.used;
    partners.used += sizeof(struct Kept) + ((length + 3) & ~3u);
  }
}

// The first partner of each record of the batch.
EXPORT("findPartners") void find_partners(u32 *firsts) {
  u32 count = state.count;
  for (u32 from = 0; from < count; from += 256) {
    u32 to = from + 256 < count ? from + 256 : count;
    touch_slots(from, to);
    for (u32 i = from; i < to; i++) {
      struct Slot *slot = slot_of(i);
      u32 is_lone = !slot->mark || matches_nothing(i);
      firsts[i] = is_lone ? 0 : ((struct Chain *)totals.rows)[slot->mark - 1].first;
    }
  }
  partners.record = 0;
  partners.partner = count ? firsts[0] : 0;
}

enum { INNER = 0, LEFT = 1, SEMI = 2, ANTI = 3 };

static inline u8 *write_pair(u8 *to, const u8 *left, u32 left_length, const u8 *right, u32 right_length) {
  *to++ = '[';
  copy(to, left, left_length);
  to += left_length;
  *to++ = ',';
  copy(to, right, right_length);
  to += right_length;
  *to++ = ']';
  *to++ = '\n';
  return to;
}

// Writes lines from where the last call ended, as many as have room. Returns their end.
EXPORT("joinLines") u8 *join_lines(u32 kind, const u32 *firsts, u8 *to, const u8 *end) {
  u32 i = partners.record, partner = partners.partner, count = state.count, needed = 0;
  while (i < count) {
    const u8 *left = state.base + (i ? state.ends[i - 1] : 0);
    u32 length = state.base + state.ends[i] - left;
    if (kind >= SEMI) {
      if ((partner != 0) == (kind == SEMI)) {
        if ((needed = length) > end - to) break;
        copy(to, left, length);
        to += length;
      }
      partner = 0;
    } else if (partner) {
      const struct Kept *kept = (const struct Kept *)(partners.base + partner);
      if ((needed = length + kept->length + 3) > end - to) break;
      to = write_pair(to, left, length - 1, (const u8 *)(kept + 1), kept->length);
      partner = kept->next;
    } else if (kind == LEFT) {
      if ((needed = length + 7) > end - to) break;
      to = write_pair(to, left, length - 1, (const u8 *)"null", 4);
    }
    if (partner) continue;
    i++;
    partner = i < count ? firsts[i] : 0;
  }
  partners.record = i;
  partners.partner = partner;
  partners.needed = needed;
  return to;
}
