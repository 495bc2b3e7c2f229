// Values in memory that can be spilled while they grow: what `Dict` is made of and `BufferStore`
// spills from. Arenas, chains and ranks are here, and not a `Map` of arrays, because a bound on
// memory holds only if each byte is accounted for: what the values take, what the keys take, and
// what is free to be used again.
export { Blocks, type Loan, type Value } from "./memory/blocks.js";
