// What JavaScript lays out for a scan, and the fields that are sought.
#include <stddef.h>
#include <stdint.h>
#include <wasm_simd128.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#define EXPORT(name) __attribute__((export_name(name)))

// Not inlined. V8 compiles a hot function on another thread and meanwhile runs it at a third of its speed: with all
// inlined, `scanJson` was 12 KB, and the first 34 MB took 112 ms in place of 43.
#define RARE static __attribute__((noinline))

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
