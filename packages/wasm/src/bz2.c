// libbzip2 as a stream, in the form of streaming.h.
#include <stdlib.h>
#include "bzlib.h"
#include "streaming.h"

typedef struct {
  bz_stream stream;
  int compressing;
} State;

EXPORT(begin_compress) void *begin_compress(int level) {
  State *state = calloc(1, sizeof(State));
  if (!state) return NULL;
  state->compressing = 1;
  if (BZ2_bzCompressInit(&state->stream, level, 0, 0) == BZ_OK) return state;
  free(state);
  return NULL;
}

EXPORT(begin_decompress) void *begin_decompress(void) {
  State *state = calloc(1, sizeof(State));
  if (!state) return NULL;
  if (BZ2_bzDecompressInit(&state->stream, 0, 0) == BZ_OK) return state;
  free(state);
  return NULL;
}

EXPORT(step) int step(void *opaque, char *in, unsigned in_len, char *out, unsigned out_len,
                      int finish) {
  State *state = opaque;
  bz_stream *stream = &state->stream;
  stream->next_in = in;
  stream->avail_in = in_len;
  stream->next_out = out;
  stream->avail_out = out_len;
  int result = state->compressing ? BZ2_bzCompress(stream, finish ? BZ_FINISH : BZ_RUN)
                                  : BZ2_bzDecompress(stream);
  consumed_bytes = in_len - stream->avail_in;
  produced_bytes = out_len - stream->avail_out;
  if (result == BZ_STREAM_END) return STEP_END;
  return result < 0 ? STEP_ERROR : STEP_MORE;
}

EXPORT(end) void end(void *opaque) {
  State *state = opaque;
  if (state->compressing) BZ2_bzCompressEnd(&state->stream);
  else BZ2_bzDecompressEnd(&state->stream);
  free(state);
}

// Called by libbzip2 where its own invariants are broken.
void bz_internal_error(int code) {
  (void)code;
  __builtin_trap();
}
