// Encoded keys, their hashes, and the records that are kept with them.

// XXH64, seed 0.

#define P1 0x9E3779B185EBCA87ULL
#define P2 0xC2B2AE3D27D4EB4FULL
#define P3 0x165667B19E3779F9ULL
#define P4 0x85EBCA77C2B2AE63ULL
#define P5 0x27D4EB2F165667C5ULL
static inline u64 rotl(u64 x, int bits) { return (x << bits) | (x >> (64 - bits)); }
static inline u64 lane_round(u64 lane, u64 input) { return rotl(lane + input * P2, 31) * P1; }

// What 32 bytes or more begin with.
RARE u64 hash_stripes(const u8 *p, const u8 *end) {
  u64 a = P1 + P2, b = P2, c = 0, d = -P1;
  do {
    a = lane_round(a, read64(p));
    b = lane_round(b, read64(p + 8));
    c = lane_round(c, read64(p + 16));
    d = lane_round(d, read64(p + 24));
    p += 32;
  } while (p + 32 <= end);
  u64 h = rotl(a, 1) + rotl(b, 7) + rotl(c, 12) + rotl(d, 18);
  h = (h ^ lane_round(0, a)) * P1 + P4;
  h = (h ^ lane_round(0, b)) * P1 + P4;
  h = (h ^ lane_round(0, c)) * P1 + P4;
  return (h ^ lane_round(0, d)) * P1 + P4;
}

static inline u64 xxh64(const u8 *p, u32 length) {
  const u8 *end = p + length;
  u64 h = P5;
  if (length >= 32) {
    h = hash_stripes(p, end);
    p += length & ~31u;
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
RARE u8 *list_key(u32 i, struct Value *items, u32 n, u8 *arena) {
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
