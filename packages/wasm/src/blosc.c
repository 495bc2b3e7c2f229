// C-Blosc, in the form of whole.h.
#include "blosc.h"
#include "whole.h"

EXPORT(bound) int whole_bound(int in_len) { return in_len + BLOSC_MAX_OVERHEAD; }

// `compressor`: its place in the list below, by Blosc's own numbers.
EXPORT(compress) int whole_compress(const char *in, int in_len, char *out, int out_len, int compressor,
                              int level, int shuffle, int typesize) {
  const char *name = NULL;
  if (blosc_compcode_to_compname(compressor, &name) < 0) return -1;
  return blosc_compress_ctx(level, shuffle, typesize, in_len, in, out, out_len, name, 0, 1);
}

EXPORT(decompress) int whole_decompress(const char *in, int in_len, char *out, int out_len) {
  size_t decoded;
  if (blosc_cbuffer_validate(in, in_len, &decoded) < 0 || decoded != (size_t)out_len) return -1;
  return blosc_decompress_ctx(in, out, out_len, 1);
}
