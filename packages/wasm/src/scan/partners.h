// Partners: records kept by key, for the records of another source.

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
