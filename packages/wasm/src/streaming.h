// What libbzip2 exports, beside malloc and free:
//
//   begin_compress(level), begin_decompress()  a state, or 0 where memory is lacking
//   step(state, in, in_len, out, out_len, finish)
//     reads and writes some bytes, of which consumed() and produced() tell the number
//   end(state)
#define EXPORT(name) __attribute__((export_name(#name)))

#define STEP_ERROR -1
#define STEP_MORE 0
#define STEP_END 1

static unsigned consumed_bytes;
static unsigned produced_bytes;

EXPORT(consumed) unsigned consumed(void) { return consumed_bytes; }
EXPORT(produced) unsigned produced(void) { return produced_bytes; }
