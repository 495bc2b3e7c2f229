// What a compression of whole buffers exports, beside malloc and free:
//
//   bound(in_len)  the most bytes that compress can give
//   compress(in, in_len, out, out_len, ...)  bytes given, or less than 0
//   decompress(in, in_len, out, out_len)  bytes given, or less than 0
#define EXPORT(name) __attribute__((export_name(#name)))
