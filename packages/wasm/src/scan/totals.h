// Totals by key, which outlive batches.

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
