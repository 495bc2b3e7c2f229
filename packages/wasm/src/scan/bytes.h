// Loops over bytes.

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
RARE int is_utf8(const u8 *p, const u8 *end) {
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
