// Divides the entries of a log's records among partitions, and groups those of one partition by their
// keys: the two loops of `entries()` in @partd/log that run once for every append that was made. Entries
// that are the only ones of their keys need neither. And a loop of `get`: it lays ranges together by keys.
//
// JavaScript reads and writes files, checks checksums, and writes a chunk out when it is full; the
// format of a chunk stands in packages/log/src/read/divider.ts. Memory is taken in powers of two; where
// there is none, the module traps, and the instance is given up.
#include <stdint.h>
#include <wasm_simd128.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
#define EXPORT(name) __attribute__((export_name(name)))

// What a call answers beside its result.
static u32 out[8];
EXPORT("out") u32 *out_address(void) { return out; }

// ---- Memory.

extern u8 __heap_base;
static u32 heap_end;
static u32 free_blocks[32]; // By the logarithm of their size: each holds the address of the next.

typedef struct { u32 at, size; } Area;

static void give(Area *area) {
  if (area->size == 0) return;
  u32 class = 31 - __builtin_clz(area->size);
  *(u32 *)area->at = free_blocks[class];
  free_blocks[class] = area->at;
  area->at = area->size = 0;
}

static Area take(u64 bytes) {
  if (bytes > 1u << 30) __builtin_trap();
  u32 class = bytes <= 64 ? 6 : 32 - __builtin_clz((u32)bytes - 1);
  Area area = {free_blocks[class], 1u << class};
  if (area.at != 0) {
    free_blocks[class] = *(u32 *)area.at;
    return area;
  }
  if (heap_end == 0) heap_end = ((u32)&__heap_base + 63) & ~63u;
  u64 end = (u64)heap_end + area.size;
  u64 pages = (end + 65535) >> 16;
  u64 there = __builtin_wasm_memory_size(0);
  if (pages > 65535) __builtin_trap();
  if (pages > there && __builtin_wasm_memory_grow(0, (u32)(pages - there)) == (u32)-1) __builtin_trap();
  area.at = heap_end;
  heap_end = (u32)end;
  return area;
}

// Makes room for so many bytes, of which the first `used` are kept.
static void reserve(Area *area, u64 bytes, u32 used) {
  if (bytes <= area->size) return;
  Area larger = take(bytes);
  __builtin_memcpy((void *)larger.at, (void *)area->at, used);
  give(area);
  *area = larger;
}

// Without a call for the short ones that nearly all are, and no byte behind the end is touched.
static inline void copy(u8 *to, const u8 *from, u32 length) {
  if (length > 256) {
    __builtin_memcpy(to, from, length);
  } else if (length >= 16) {
    u32 i = 0;
    for (; i + 16 <= length; i += 16) wasm_v128_store(to + i, wasm_v128_load(from + i));
    wasm_v128_store(to + length - 16, wasm_v128_load(from + length - 16));
  } else if (length >= 8) {
    u64 head, tail;
    __builtin_memcpy(&head, from, 8);
    __builtin_memcpy(&tail, from + length - 8, 8);
    __builtin_memcpy(to, &head, 8);
    __builtin_memcpy(to + length - 8, &tail, 8);
  } else {
    for (u32 i = 0; i < length; i++) to[i] = from[i];
  }
}

// ---- Keys.

static u32 mixed(u32 hash) {
  u32 mix = (hash ^ (hash >> 16)) * 0x85ebca6b;
  mix = (mix ^ (mix >> 13)) * 0xc2b2ae35;
  return mix ^ (mix >> 16);
}

// The order of an index, also in docs/log-format.md.
static u32 order_hash(const u8 *key, u32 length) {
  u32 hash = 0x811c9dc5;
  for (u32 i = 0; i < length; i++) hash = (hash ^ key[i]) * 0x01000193;
  return mixed(hash);
}

// Whether encoded keys have such a byte.
static inline int is_of_keys(u8 byte) {
  u8 letter = byte | 0x20;
  return (letter >= 'a' && letter <= 'z') || (byte >= '-' && byte <= '9') || byte == '_' || byte == '%' ||
         byte == ' ' || byte == '(' || byte == ')';
}

static Area prefix; // What the keys begin with that are wanted.
static u32 prefix_length;

EXPORT("prefix") u32 set_prefix(u32 length) {
  reserve(&prefix, length, 0);
  prefix_length = length;
  return prefix.at;
}

// ---- Partitions.

enum { SHORT = 1024, MOST_SHORT = 1 << 22, ENTRY_BYTES = 16, LARGE = 4096 };

static struct { u32 front, back, defined, start; } *partitions;
static Area partition_area, chunk_area;
static u32 partition_count, capacity;

static void begin_chunk(u32 p) {
  partitions[p].front = partitions[p].start;
  partitions[p].back = partitions[p].start + capacity - 4; // The topmost is for the number of bytes.
}

// `chunk_bytes` is a multiple of four.
EXPORT("openPartitions") void open_partitions(u32 count, u32 chunk_bytes) {
  partition_count = count;
  capacity = chunk_bytes;
  partition_area = take((u64)count * sizeof *partitions);
  chunk_area = take((u64)count * capacity);
  partitions = (void *)partition_area.at;
  for (u32 p = 0; p < count; p++) {
    partitions[p].start = chunk_area.at + p * capacity;
    partitions[p].defined = 0;
    begin_chunk(p);
  }
}

// Bytes that fit into the open chunk; where they go is `out[0]`.
EXPORT("room") u32 room(u32 p) {
  out[0] = partitions[p].front;
  return partitions[p].back - partitions[p].front;
}

EXPORT("advance") void advance(u32 p, u32 length) { partitions[p].front += length; }

// Ends the open chunk: its two pieces are `out[0]` to `out[1]` and `out[2]` to `out[3]`. 0 if it is empty.
EXPORT("endChunk") u32 end_chunk(u32 p) {
  u32 start = partitions[p].start, end = start + capacity;
  u32 front = partitions[p].front, back = partitions[p].back;
  if (front == start && back == end - 4) return 0;
  *(u32 *)(end - 4) = front - start;
  out[0] = start;
  out[1] = (front + 3) & ~3u;
  out[2] = back;
  out[3] = end;
  begin_chunk(p);
  return 1;
}

static inline void push_word(u32 p, u32 word) {
  partitions[p].back -= 4;
  *(u32 *)partitions[p].back = word;
}

EXPORT("beginEntry") void begin_entry(u32 p, u32 number, u32 length) {
  if (length < SHORT && number < MOST_SHORT) {
    push_word(p, number * SHORT + length);
  } else {
    push_word(p, 0);
    push_word(p, number);
    push_word(p, length);
  }
}

static inline int has_room(u32 p, u32 length) {
  return (u64)partitions[p].front + length + ENTRY_BYTES <= partitions[p].back;
}

static inline void add_bytes(u32 p, const u8 *bytes, u32 length) {
  copy((u8 *)partitions[p].front, bytes, length);
  partitions[p].front += length;
}

// ---- Records.

typedef struct { u32 partition, number; } Place;
// Of each key's number: where it was defined. What is read of it, and the table of its present record.
typedef struct { Area places, window, table; u32 size; } Segment;
typedef struct { u32 key, length, key_from, key_length; Place place; } Entry;

static Area entry_area, group_area, lone_area;
static u32 waiting, placed, done, lone;
static const u8 *next_bytes;

EXPORT("openSegment") u32 open_segment(void) {
  Area area = take(sizeof(Segment));
  *(Segment *)area.at = (Segment){{0, 0}, {0, 0}, {0, 0}, 0};
  return area.at;
}

EXPORT("closeSegment") void close_segment(Segment *segment) {
  give(&segment->places);
  give(&segment->window);
  give(&segment->table);
  Area area = {(u32)segment, 64};
  give(&area);
}

EXPORT("window") u32 window_address(Segment *segment, u32 length) {
  reserve(&segment->window, length, 0);
  return segment->window.at;
}

EXPORT("table") u32 table_address(Segment *segment, u32 length) {
  reserve(&segment->table, length, 0);
  return segment->table.at;
}

enum { OK = 0, CUT_SHORT = 1, BAD_KEY = 2, TOO_LONG = 3 };

static const u8 *table_end;

static inline const u8 *varint(const u8 *at, u64 *value) {
  u64 sum = 0;
  for (u32 shift = 0; at < table_end && shift <= 49; shift += 7) {
    u8 byte = *at++;
    sum |= (u64)(byte & 0x7f) << shift;
    if (byte < 0x80) {
      *value = sum;
      return at;
    }
  }
  return 0;
}

enum { SOME_ENTRIES = 4096, LONGEST = 1 << 30 };

// Reads the entry at `*at`, and goes past it.
static inline u32 read_entry(const u8 **at, const u8 *table, u32 most_key, Entry *entry) {
  u64 reference, value;
  if (!(*at = varint(*at, &reference))) return CUT_SHORT;
  if (reference >> 1 > 0xffffffff) return BAD_KEY;
  entry->key = (u32)(reference >> 1);
  entry->key_length = 0;
  if (reference & 1) {
    if (!(*at = varint(*at, &value))) return CUT_SHORT;
    // A definition takes three bytes or more, all of them earlier in the file.
    if (value == 0 || value > (u64)(table_end - *at) || entry->key > most_key) return BAD_KEY;
    entry->key_from = (u32)(*at - table);
    entry->key_length = (u32)value;
    *at += value;
  }
  if (!(*at = varint(*at, &value))) return CUT_SHORT;
  if (value > LONGEST) return TOO_LONG;
  entry->length = (u32)value;
  return OK;
}

// Reads entries from `from` on: groups of small ones, as many as `limit` bytes hold, and a large one
// behind them, which has groups of its own. The bytes of the small ones lie at `bytes`.
// `out`: where the next entry stands, the bytes of the groups, how many entries, the length of the
// large one or 0, how many groups, where their lengths lie.
EXPORT("collect") u32 collect(const Segment *segment, u32 from, u32 end, u32 most, u32 most_key, const u8 *bytes, u32 limit) {
  const u8 *base = (u8 *)segment->table.at, *at = base + from, *whole = at;
  table_end = base + end;
  u32 open = 0, total = 0, groups = 0, large = 0, read = 0;
  waiting = 0;
  while (read < most && large == 0) {
    if (sizeof(Entry) * (read + 1) > entry_area.size)
      reserve(&entry_area, sizeof(Entry) * (u64)(2 * read + 256), sizeof(Entry) * read);
    Entry *entry = (Entry *)entry_area.at + read;
    u32 result = read_entry(&at, base, most_key, entry);
    if (result != OK) return result;
    u32 value = entry->length;
    read++;
    if (value >= LARGE) large = value;
    else open += value;
    if (large == 0 && open < LARGE && read < most && (open > 0 || read < SOME_ENTRIES)) continue;
    if ((u64)total + open > limit) {
      large = 0;
      break;
    }
    if (open > 0) {
      if (4 * (groups + 1) > group_area.size) reserve(&group_area, 4 * (u64)(2 * groups + 64), 4 * groups);
      ((u32 *)group_area.at)[groups++] = open;
    }
    total += open;
    open = 0;
    waiting = read;
    whole = at;
    if (read >= SOME_ENTRIES) break;
  }
  placed = done = lone = 0;
  next_bytes = bytes;
  out[0] = (u32)(whole - base);
  out[1] = total;
  out[2] = waiting;
  out[3] = large;
  out[4] = groups;
  out[5] = group_area.at;
  return OK;
}

static inline Place place_of(const Segment *segment, u32 key) {
  return key < segment->size ? ((Place *)segment->places.at)[key] : (Place){0, 0};
}

static Place *place_for(Segment *segment, u32 key) {
  if (key >= segment->size) {
    u32 before = segment->size * sizeof(Place);
    reserve(&segment->places, (u64)(key + 64u) * sizeof(Place), before);
    __builtin_memset((u8 *)segment->places.at + before, 0, segment->places.size - before);
    segment->size = segment->places.size / sizeof(Place);
  }
  return (Place *)segment->places.at + key;
}

// ---- Keys that have a single entry in all segments.

// A count-min sketch: each key has two counters of two bits, which stop at 2, in one line of a cache. With
// the lines anywhere, looking at 2 million keys took twice as long.
static Area sightings;
static u32 line_shift;

EXPORT("openSightings") void open_sightings(u32 logarithm) { // Of the number of lines.
  u32 bytes = 64u << logarithm;
  reserve(&sightings, bytes, 0);
  __builtin_memset((void *)sightings.at, 0, bytes);
  line_shift = 32 - logarithm;
}

typedef struct { u32 *word, shift; } Counter;

static inline Counter counter(u32 hash, u32 which) {
  u32 at = mixed(hash + 1) >> (8 * which) & 255;
  return (Counter){(u32 *)(sightings.at + (hash >> line_shift) * 64) + (at >> 4), 2 * (at & 15)};
}

static inline u32 seen(Counter at) { return *at.word >> at.shift & 3; }

static inline void see(Counter at) {
  if (seen(at) < 2) *at.word += 1u << at.shift;
}

// False for some keys that have a single entry; those are divided like the others.
static inline int is_alone(u32 hash) {
  return sightings.size > 0 && (seen(counter(hash, 0)) < 2 || seen(counter(hash, 1)) < 2);
}

// Counts entries from `from` on, of which `out[0]` is the end; longer ones than `longest` as two.
EXPORT("sight") u32 sight(Segment *segment, u32 from, u32 end, u32 most, u32 most_key, u32 longest) {
  const u8 *table = (u8 *)segment->table.at, *at = table + from;
  table_end = table + end;
  for (u32 i = 0; i < most; i++) {
    Entry entry;
    u32 result = read_entry(&at, table, most_key, &entry);
    if (result != OK) return result;
    // Here a place keeps the hash of its key.
    if (entry.key_length > 0)
      *place_for(segment, entry.key) = (Place){order_hash(table + entry.key_from, entry.key_length), 1};
    Place place = place_of(segment, entry.key);
    if (place.number == 0) continue; // It was defined where it cannot be read.
    for (u32 times = entry.length > longest ? 2 : 1; times > 0; times--) {
      Counter one = counter(place.partition, 0), other = counter(place.partition, 1);
      see(one);
      if (other.word != one.word || other.shift != one.shift) see(other);
    }
  }
  out[0] = (u32)(at - table);
  return OK;
}

enum { ALONE = 0xffffffff }; // In place of a partition.
typedef struct { u32 key, key_length, value, length; } Lone;

static u8 *lone_end; // Of the values, which are moved together over what was divided between them.

static void add_lone(const Segment *segment, const Entry *entry) {
  if (sizeof(Lone) * (lone + 1) > lone_area.size)
    reserve(&lone_area, sizeof(Lone) * (u64)(2 * lone + 64), sizeof(Lone) * lone);
  if (lone == 0) lone_end = (u8 *)next_bytes;
  u32 key = segment->table.at + entry->key_from;
  ((Lone *)lone_area.at)[lone++] = (Lone){key, entry->key_length, (u32)lone_end, entry->length};
  if (entry->length >= LARGE) return;
  if (lone_end != next_bytes) __builtin_memmove(lone_end, next_bytes, entry->length);
  lone_end += entry->length;
}

// How many entries of those that `collect` read are all there is of their keys; `out[0]` is where they
// stand, each as the address and the length of its key and of its value: of values that touch one another in
// memory many can be taken at a time. A large one's value is not there.
EXPORT("loneEntries") u32 lone_entries(void) {
  out[0] = lone_area.at;
  return lone;
}

// Defines a key where it belongs: OK, BAD_KEY, or CUT_SHORT if the chunk there is full.
static u32 define(Segment *segment, Entry *entry) {
  const u8 *key = (u8 *)segment->table.at + entry->key_from;
  u32 length = entry->key_length;
  for (u32 i = 0; i < length; i++) if (!is_of_keys(key[i])) return BAD_KEY;
  Place *place = place_for(segment, entry->key);
  *place = (Place){0, 0};
  int wanted = length >= prefix_length;
  for (u32 i = 0; wanted && i < prefix_length; i++) wanted = key[i] == ((u8 *)prefix.at)[i];
  if (wanted) {
    u32 hash = order_hash(key, length);
    if (is_alone(hash)) {
      place->partition = ALONE;
      return OK; // The key's length is kept for `add_lone`.
    }
    u32 p = (u32)((u64)hash * partition_count >> 32);
    place->partition = p;
    if (!has_room(p, length)) return CUT_SHORT;
    if (length < SHORT) {
      push_word(p, length);
    } else {
      push_word(p, 0);
      push_word(p, 0);
      push_word(p, length);
    }
    add_bytes(p, key, length);
    place->number = ++partitions[p].defined;
  }
  entry->key_length = 0;
  return OK;
}

// Divides what `collect` read, except for the bytes of a large entry. CUT_SHORT: the first that is
// left has no room; `out` says its partition, and where its key stands if that is to be defined.
EXPORT("divide") u32 divide(Segment *segment) {
  Entry *entries = (Entry *)entry_area.at;
  // First all places: each lies somewhere else in memory, and so many are waited for at the same time.
  for (; placed < waiting; placed++) {
    Entry *entry = entries + placed;
    if (entry->key_length != 0) {
      u32 result = define(segment, entry);
      if (result == BAD_KEY) return BAD_KEY;
      if (result == CUT_SHORT) {
        out[0] = place_of(segment, entry->key).partition;
        out[1] = segment->table.at + entry->key_from;
        out[2] = entry->key_length;
        return CUT_SHORT;
      }
    }
    entry->place = place_of(segment, entry->key);
  }
  for (; done < waiting; done++) {
    u32 length = entries[done].length;
    Place place = entries[done].place;
    if (place.partition == ALONE && length > 0 && entries[done].key_length > 0) add_lone(segment, entries + done);
    if (length >= LARGE) continue; // It is the last one.
    // Nothing if its key is not wanted, or was defined where it cannot be read.
    if (place.number > 0) {
      if (!has_room(place.partition, length)) {
        out[0] = place.partition;
        out[2] = 0;
        return CUT_SHORT;
      }
      begin_entry(place.partition, place.number, length);
      add_bytes(place.partition, next_bytes, length);
    }
    next_bytes += length;
  }
  return OK;
}

// The key of the first entry that is left was written as a chunk of its own.
EXPORT("definedAlone") void defined_alone(Segment *segment) {
  Entry *entry = (Entry *)entry_area.at + placed;
  Place *place = place_for(segment, entry->key);
  place->number = ++partitions[place->partition].defined;
  entry->key_length = 0;
}

// The number of the key of the last entry in its partition `out[0]`; the number in the segment is `out[1]`.
EXPORT("lastPlace") u32 last_place(void) {
  const Entry *last = (Entry *)entry_area.at + (waiting - 1);
  out[0] = last->place.partition;
  out[1] = last->key;
  return last->place.number;
}

// The number in the segment of the key that the byte at `offset` of the groups belongs to.
EXPORT("keyAt") u32 key_at(u32 offset) {
  Entry *entries = (Entry *)entry_area.at;
  u32 i = 0;
  for (u64 end = entries[0].length; i + 1 < waiting && end <= offset; end += entries[++i].length);
  return entries[i].key;
}

// No more is divided: what that took is for the partitions.
EXPORT("closePartitions") void close_partitions(void) {
  give(&chunk_area);
  give(&partition_area);
  give(&entry_area);
  give(&group_area);
  give(&lone_area);
  give(&sightings);
}

// ---- The keys of a partition, each in a slot.

static u32 slots;
static u32 defined;
static Area key_bytes, key_starts, hashes; // The bytes of all keys, end to end; starts has one more.
static Area table_places; // Open addressing with linear probing: slots plus 1, or 0.
static u32 place_mask;
static Area slot_of; // Of each definition, numbered from 1: each segment has its own of a key.
static Area lengths; // Doubles: bytes of the values.
static Area firsts; // From which row on a key's bytes count, behind its last deletion.
static int has_firsts;
static Area ends;
static u32 seed; // Secret, so that no one can choose keys that all fall into one place.

EXPORT("seed") void set_seed(u32 value) { seed = value; }

static void place_all(void) {
  __builtin_memset((void *)table_places.at, 0, 4 * (place_mask + 1));
  for (u32 slot = 0; slot < slots; slot++) {
    u32 place = ((u32 *)hashes.at)[slot] & place_mask;
    while (((u32 *)table_places.at)[place] != 0) place = (place + 1) & place_mask;
    ((u32 *)table_places.at)[place] = slot + 1;
  }
}

EXPORT("beginSlots") void begin_slots(void) {
  slots = defined = 0;
  has_firsts = 0;
  if (table_places.size == 0) {
    reserve(&table_places, 4 * 2048, 0);
    reserve(&key_starts, 4 * 1024, 0);
  }
  place_mask = table_places.size / 4 - 1;
  *(u32 *)key_starts.at = 0;
  place_all();
}

static u32 slot_for(const u8 *key, u32 length) {
  u32 hash = seed;
  for (u32 i = 0; i < length; i++) hash = ((hash ^ key[i]) * 0x5bd1e995) ^ (hash >> 15);
  hash = mixed(hash);
  u32 *starts = (u32 *)key_starts.at;
  u32 place = hash & place_mask;
  for (u32 slot; (slot = ((u32 *)table_places.at)[place]) != 0; place = (place + 1) & place_mask) {
    slot--;
    if (((u32 *)hashes.at)[slot] != hash || starts[slot + 1] - starts[slot] != length) continue;
    const u8 *other = (u8 *)key_bytes.at + starts[slot];
    u32 i = 0;
    while (i < length && key[i] == other[i]) i++;
    if (i == length) return slot;
  }
  u32 slot = slots, start = starts[slot];
  if ((u64)start + length > key_bytes.size) reserve(&key_bytes, (u64)start + length, start);
  if (4 * (slot + 2) > key_starts.size) reserve(&key_starts, 4 * (u64)(slot + 2), 4 * (slot + 1));
  if (4 * (slot + 1) > hashes.size) reserve(&hashes, 4 * (u64)(slot + 1), 4 * slot);
  copy((u8 *)key_bytes.at + start, key, length);
  ((u32 *)key_starts.at)[slot + 1] = start + length;
  ((u32 *)hashes.at)[slot] = hash;
  ((u32 *)table_places.at)[place] = slot + 1;
  slots++;
  if (2 * slots > place_mask) {
    reserve(&table_places, 8 * (u64)(place_mask + 1), 0);
    place_mask = table_places.size / 4 - 1;
    place_all();
  }
  return slot;
}

static void define_slot(const u8 *key, u32 length) {
  u32 before = slots, slot = slot_for(key, length), number = ++defined;
  if (4 * (number + 1) > slot_of.size) reserve(&slot_of, 4 * (u64)(number + 1), 4 * number);
  ((u32 *)slot_of.at)[number] = slot;
  if (slots == before) return;
  if (8 * slots > lengths.size) reserve(&lengths, 8 * (u64)slots, 8 * before);
  ((double *)lengths.at)[slot] = 0;
  if (has_firsts) {
    if (4 * slots > firsts.size) reserve(&firsts, 4 * (u64)slots, 4 * before);
    ((u32 *)firsts.at)[slot] = 0;
  }
}

static void add_to_slot(u32 row, u32 slot, u32 length) {
  if (length > 0) {
    ((double *)lengths.at)[slot] += length;
    return;
  }
  if (!has_firsts) {
    has_firsts = 1;
    reserve(&firsts, 4 * (u64)slots, 0);
    __builtin_memset((void *)firsts.at, 0, 4 * slots);
  }
  ((double *)lengths.at)[slot] = 0;
  ((u32 *)firsts.at)[slot] = row + 1;
}

static inline int counts(u32 row, u32 slot) { return !has_firsts || row >= ((u32 *)firsts.at)[slot]; }

// ---- The chunks of a partition, in their order.

static const u32 *word, *word_end; // They are read backwards.
static const u8 *front, *front_end;
static u32 left_over; // Bytes of the last entry that are in later chunks.
static u32 row, number; // Of the last entry.

EXPORT("beginPass") void begin_pass(void) {
  left_over = 0;
  row = (u32)-1;
  number = 0;
}

EXPORT("beginChunk") void begin_reading(u32 start, u32 end) {
  word = (u32 *)end - 1;
  front = (u8 *)start;
  front_end = front + *word;
  word_end = (u32 *)(((u32)front_end + 3) & ~3u);
}

enum { NONE = 0xffffffff };

// Goes to the next entry, and past the keys that are defined before it. Its length, or NONE.
static inline u32 next_entry(int defines) {
  while (word > word_end) {
    u32 bits = *--word, owner = 0, length = bits;
    if (bits >= SHORT) {
      owner = bits / SHORT;
      length = bits % SHORT;
    } else if (bits == 0) {
      owner = *--word;
      length = *--word;
    }
    if (owner > 0) {
      row++;
      number = owner;
      return length;
    }
    if (defines) define_slot(front, length);
    front += length;
  }
  return NONE;
}

// Passes the bytes of an entry; those that are in the chunk are counted.
static inline u32 pass(u32 length) {
  u32 there = (u32)(front_end - front);
  u32 taken = length < there ? length : there;
  front += taken;
  left_over = length - taken;
  return taken;
}

// Numbers keys and sums up lengths, of so many entries; 0 at the end of the chunk.
EXPORT("count") u32 count_some(u32 some) {
  if (left_over > 0) pass(left_over);
  for (u32 i = 0; i < some; i++) {
    u32 length = next_entry(1);
    if (length == NONE) return 0;
    add_to_slot(row, ((u32 *)slot_of.at)[number], length);
    pass(length);
  }
  return 1;
}

// `out`: how many slots, then where their keys' bytes and starts, and the values' lengths lie.
EXPORT("slots") void slot_addresses(void) {
  out[0] = slots;
  out[1] = key_bytes.at;
  out[2] = key_starts.at;
  out[3] = lengths.at;
}

static u8 *values;

// Lays the values of slots end to end from `target` on: answers where the end of each will be.
EXPORT("layOut") u32 lay_out(u32 from, u32 to, u8 *target) {
  values = target;
  reserve(&ends, 4 * (u64)(to - from), 0);
  u32 at = 0;
  for (u32 slot = from; slot < to; slot++) {
    ((u32 *)ends.at)[slot - from] = at;
    at += (u32)((double *)lengths.at)[slot];
  }
  return ends.at;
}

// Copies the values of slots, of so many entries, each to where it ends so far; 0 at the end of the chunk.
EXPORT("copy") u32 copy_some(u32 some, u32 from, u32 to) {
  const u8 *start = front;
  u32 length = left_over > 0 ? pass(left_over) : 0;
  for (u32 i = 0;; i++) {
    if (length > 0) {
      u32 slot = ((u32 *)slot_of.at)[number];
      if (slot >= from && slot < to && counts(row, slot)) {
        u32 *end = (u32 *)ends.at + (slot - from);
        copy(values + *end, start, length);
        *end += length;
      }
    }
    if (i == some) return 1;
    length = next_entry(0);
    if (length == NONE) return 0;
    start = front;
    length = pass(length);
  }
}

// Goes to the next bytes of one value in the chunk, `out[0]` to `out[1]`; 0 at its end.
EXPORT("nextRange") u32 next_range(u32 wanted) {
  for (;;) {
    const u8 *start = front;
    u32 length = left_over > 0 ? left_over : next_entry(0);
    if (length == NONE) return 0;
    if (left_over == 0) start = front;
    length = pass(length);
    if (length == 0 && left_over > 0) return 0;
    u32 slot = ((u32 *)slot_of.at)[number];
    if (length == 0 || slot != wanted || !counts(row, slot)) continue;
    out[0] = (u32)start;
    out[1] = (u32)start + length;
    return 1;
  }
}

// ---- Ranges of one stretch of a segment, for `get`.

typedef struct { u32 slot, at, length; } Range;
typedef struct { u32 slot, end; } Run;

// Lays the bytes of each slot together, from `target` on, in the order of its ranges. How many slots have
// some: `runs` gets them, each with the end of its bytes. `ends`, by slots, is 0 before and afterwards.
EXPORT("gather") u32 gather(const Range *ranges, u32 count, u32 *ends, Run *runs, u32 target) {
  u32 slots_there = 0;
  for (u32 i = 0; i < count; i++) {
    u32 *end = ends + ranges[i].slot;
    if (*end == 0) runs[slots_there++].slot = ranges[i].slot;
    *end += ranges[i].length;
  }
  for (u32 i = 0; i < slots_there; i++) {
    u32 *end = ends + runs[i].slot, length = *end;
    *end = target;
    target += length;
  }
  for (u32 i = 0; i < count; i++) {
    u32 *end = ends + ranges[i].slot;
    copy((u8 *)*end, (const u8 *)ranges[i].at, ranges[i].length);
    *end += ranges[i].length;
  }
  for (u32 i = 0; i < slots_there; i++) {
    runs[i].end = ends[runs[i].slot];
    ends[runs[i].slot] = 0;
  }
  return slots_there;
}

// ---- Areas of memory that JavaScript fills or reads: for a partition and its values, or for `gather`.

static Area areas[3];
EXPORT("area") u32 area_of(u32 which, u32 length) {
  if (length > areas[which].size) {
    give(&areas[which]);
    areas[which] = take(length);
  }
  return areas[which].at;
}
