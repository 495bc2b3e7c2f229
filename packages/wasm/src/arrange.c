// Lays records together: those of a batch by ranges of their keys, and those of a range in their order. These are
// the two loops of a sort in @partd/shuffle that touch every byte of every record. JavaScript says where everything
// lies: packages/shuffle/src/sort/arranger.ts.
#include <stdint.h>
#include <wasm_simd128.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#define EXPORT(name) __attribute__((export_name(name)))

extern u8 __heap_base;
EXPORT("heap") u32 heap(void) { return ((u32)&__heap_base + 63) & ~63u; }

// Copies in steps of 16 bytes: up to 15 bytes behind the source are read, and up to 15 behind the target written.
static inline void copy(u8 *to, const u8 *from, u32 length) {
  for (u32 i = 0; i < length; i += 16) wasm_v128_store(to + i, wasm_v128_load(from + i));
}
#define BEHIND 16

// Records with their keys, as columns. They lie end to end, as do their keys.
typedef struct {
  u32 *highs, *lows; // The first 8 bytes of a key, as numbers.
  u32 *ends, *key_starts, *key_ends;
  u8 *bytes, *keys;
} Columns;

#define MOST_RANGES 64
static Columns from, to;
static u64 splitters[MOST_RANGES - 1]; // Where ranges begin, but for the first; the others at the greatest number.
static u8 *assignment;
// Of each range: its first row, the place of its first byte, and that of its first key; and where they end.
static u32 firsts[6][MOST_RANGES];

EXPORT("columns") Columns *columns_address(u32 i) { return i == 0 ? &from : &to; }
EXPORT("splitters") u64 *splitters_address(void) { return splitters; }
EXPORT("firsts") u32 *firsts_address(void) { return &firsts[0][0]; }
EXPORT("setAssignment") void set_assignment(u8 *address) { assignment = address; }

// Lays `count` records together by range, in their order. Places count from the beginning of the range.
EXPORT("group") void group(u32 count) {
  const u32 first_key = from.key_starts[0];
  u32 *nexts = firsts[3], *byte_nexts = firsts[4], *key_nexts = firsts[5];
  for (u32 range = 0; range < MOST_RANGES; range++) nexts[range] = byte_nexts[range] = key_nexts[range] = 0;
  for (u32 i = 0, start = 0, key_start = first_key; i < count; i++) {
    u64 key = (u64)from.highs[i] << 32 | from.lows[i];
    u32 range = 0;
    for (u32 half = MOST_RANGES / 2; half > 0; half /= 2) range += splitters[range + half - 1] <= key ? half : 0;
    assignment[i] = range;
    nexts[range]++;
    byte_nexts[range] += from.ends[i] - start;
    key_nexts[range] += from.key_ends[i] - key_start;
    start = from.ends[i];
    key_start = from.key_ends[i];
  }
  for (u32 range = 0, row = 0, place = 0, key_place = 0; range < MOST_RANGES; range++) {
    firsts[0][range] = row;
    firsts[1][range] = place;
    firsts[2][range] = key_place;
    row += nexts[range];
    // A copy may write behind the last record of a range.
    place += byte_nexts[range] + BEHIND;
    key_place += key_nexts[range] + BEHIND;
    nexts[range] = firsts[0][range];
    byte_nexts[range] = firsts[1][range];
    key_nexts[range] = firsts[2][range];
  }
  for (u32 i = 0, start = 0, key_start = first_key; i < count; i++) {
    u32 range = assignment[i];
    u32 row = nexts[range]++;
    u32 length = from.ends[i] - start, key_length = from.key_ends[i] - key_start;
    copy(to.bytes + byte_nexts[range], from.bytes + start, length);
    copy(to.keys + key_nexts[range], from.keys + (key_start - first_key), key_length);
    byte_nexts[range] += length;
    to.key_starts[row] = key_nexts[range] - firsts[2][range];
    key_nexts[range] += key_length;
    to.highs[row] = from.highs[i];
    to.lows[row] = from.lows[i];
    to.ends[row] = byte_nexts[range] - firsts[1][range];
    to.key_ends[row] = key_nexts[range] - firsts[2][range];
    start = from.ends[i];
    key_start = from.key_ends[i];
  }
}

// Copies records, by number, end to end, until one has no room. `starts` has one more entry than there are records.
// Answers how many were copied, and at `length` how many bytes.
EXPORT("gather")
u32 gather(const u32 *order, u32 count, const u32 *starts, const u8 *bytes, u8 *out, u32 room, u32 *length) {
  u32 done = 0, used = 0;
  for (; done < count; done++) {
    u32 start = starts[order[done]], end = starts[order[done] + 1];
    if (end - start > room - used) break;
    copy(out + used, bytes + start, end - start);
    used += end - start;
  }
  *length = used;
  return done;
}
