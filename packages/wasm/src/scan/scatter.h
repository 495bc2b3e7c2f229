// Orders records by partition: a counting sort.

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
