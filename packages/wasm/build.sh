#!/bin/bash
# Compiles the C libraries behind the compressions to WebAssembly and writes each, as text, into the
# package that uses it. The results are kept in git: only a change here needs a new run.
#
#   apt-get install clang lld wasi-libc libclang-rt-dev-wasm32    (Debian 12)
#   packages/wasm/build.sh [ours]
#
# With "ours" it makes only those of packages/records, log and shuffle, which need no library.
# The sources are Debian's, by name, version and checksum; an entry "deb-src" is needed for them.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=${PARTD_WASM_WORK:-$(mktemp -d)}
cd "$work"

fetch() { # package, file, sha256
  [ -f "$2" ] || apt-get ${PARTD_APT_OPTIONS:-} source --download-only "$1" >/dev/null
  echo "$3  $2" | sha256sum --check --quiet
  tar xf "$2"
}
# Our own, which need no C library.
bare() { # name, where to
  clang --target=wasm32 -O3 -msimd128 -mbulk-memory -ffreestanding -nostdlib -Wall -Werror \
    -Wl,--no-entry -Wl,--strip-all -Wl,-z,stack-size=65536 "$here/src/$1.c" -o "$1.wasm"
  node "$here/embed.mjs" "$1.wasm" "$here/../$2" bare
}
bare scan records/src/scan/scan-wasm.ts
bare divide log/src/read/divide-wasm.ts
bare arrange shuffle/src/sort/arrange-wasm.ts
[ "${1:-}" != ours ] || exit 0

fetch bzip2 bzip2_1.0.8.orig.tar.gz ab5a03176ee106d3f0fa90e381da478ddae405918153cca248e682cd0c4a2269
fetch lz4 lz4_1.9.4.orig.tar.gz 0b0e3aa07c8c063ddf40b082bdf7e37a1562bda40a0ff5272957f3e987e0e54b
fetch libzstd libzstd_1.5.4+dfsg2.orig.tar.xz 8cf4bbb65e77ec348d052c8d6230eba66d435bddf64c8b5be2fcb16880c19953
fetch zlib zlib_1.2.13.dfsg.orig.tar.bz2 71feb7947e3c00ef125f83b79a4e529bde31171e5babe48b391f06758d1ab0a1
fetch c-blosc c-blosc_1.21.3+ds.orig.tar.xz 36a5ca0904135be7b6da02cc93adda2e34fec98286b28172e166f8cad79c8fab

bzip2=bzip2-1.0.8 lz4=lz4-1.9.4/lib zstd=zstd-1.5.4/lib zlib=zlib-1.2.13.dfsg blosc=c-blosc-1.21.3/blosc
zstd_sources=("$zstd"/{common,compress,decompress}/*.c)
zstd_flags=(-I"$zstd" -DZSTD_DISABLE_ASM -DXXH_NAMESPACE=ZSTD_ -DZSTD_LEGACY_SUPPORT=0 -DZSTD_HAVE_WEAK_SYMBOLS=0 -DZSTD_TRACE=0)

compile() { # name, flags and sources
  local name=$1
  shift
  clang --target=wasm32-wasi -mexec-model=reactor -O3 -ffunction-sections -fdata-sections -msimd128 -mbulk-memory -DNDEBUG -w \
    -nostartfiles -Wl,--no-entry -Wl,--strip-all -Wl,--gc-sections -Wl,-z,stack-size=262144 \
    -Wl,--export=malloc -Wl,--export=free -I"$here/src" "$@" "$here/src/$name.c" -o "$name.wasm"
  node "$here/embed.mjs" "$name.wasm" "$here/../compress-$name/src/$name-wasm.ts"
}
compile bz2 -I$bzip2 -DBZ_NO_STDIO $bzip2/{blocksort,bzlib,compress,crctable,decompress,huffman,randtable}.c
compile blosc -I$here/src/alone -include $here/src/alone/quiet.h -I$blosc -I$lz4 -I$zlib "${zstd_flags[@]}" \
  -DHAVE_LZ4 -DHAVE_ZLIB -DHAVE_ZSTD \
  $blosc/{blosc,blosclz,fastcopy,shuffle,shuffle-generic,bitshuffle-generic}.c \
  $lz4/{lz4,lz4hc}.c $zlib/{adler32,compress,crc32,deflate,inffast,inflate,inftrees,trees,uncompr,zutil}.c \
  "${zstd_sources[@]}"
