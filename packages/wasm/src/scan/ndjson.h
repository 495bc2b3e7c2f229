// Scans lines of JSON.

static inline int json_record(const u8 *p, const u8 **end) {
  u32 fields = state.fields, keys = state.keys;
  for (u32 f = 0; f < fields; f++) values[f].start = 0;
  const u8 *q;
  u32 ignored;
  if (*p != '{') q = value(p, &ignored);
  else if (fields == 1) q = members(p, 1, 0);
  else q = object(p, fields == 32 ? ~0u : (1u << fields) - 1, 0);
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
      u32 is_there = v->start != 0;
      state.is_missing[i] = !is_there;
      set_key(i, is_there ? v->start : state.missing, is_there ? v->end - v->start : 1, is_there ? shift : 0);
    } else if (state.keys > 1) state.arena = list_key(i, values, state.keys, state.arena);
    keep(p, next);
    p = next;
  }
  state.at = (u8 *)p;
  return DONE;
}
