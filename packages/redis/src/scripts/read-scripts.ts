import { GUARD } from "./change-scripts.js";
import { Script } from "./script.js";

// Scripts that read a bucket. A reply is at most about a MiB, so that other clients never wait
// long.

/**
 * Checks that this writer's changes are still there: a failover or a restart may have lost them.
 *
 * KEYS: lock, writers, … ARGV: the lock's token or "", the writer, its last number, …
 */
const KNOWN = `
if ARGV[3] ~= '0' then
  local last = redis.call('HGET', KEYS[2], ARGV[2]) or '0'
  if tonumber(last) < tonumber(ARGV[3]) then return redis.error_reply('PARTDSEQ ' .. last) end
end`;

const WINDOW = `
-- Chunks from an index on, while they are no more than a limit, as one string. The first comes always.
local function window(key, from, length, limit, first)
  local parts, bytes, count = {}, 0, 4
  while from < length do
    local chunks = redis.call('LRANGE', key, from, math.min(from + count, length) - 1)
    if #chunks == 0 then break end
    for i = 1, #chunks do
      if bytes + #chunks[i] > limit and (bytes > 0 or not first) then
        return table.concat(parts), from
      end
      parts[#parts + 1] = chunks[i]
      bytes = bytes + #chunks[i]
      from = from + 1
    end
    -- As many as would fit if they are as long as those so far.
    count = math.max(1, math.min(256, math.ceil((limit - bytes) * #parts / bytes)))
  end
  return table.concat(parts), from
end`;

const READING = `
local function reading(reads, name)
  local time = redis.call('TIME')
  -- Without memory for the note the value can be read, and goes if it is deleted meanwhile.
  redis.pcall('HSET', reads, name, string.format('%.0f', time[1] * 1000 + time[2] / 1000 + 60000))
  redis.call('PEXPIRE', reads, 60000)
end`;

/**
 * Reads values from their beginning, as many as fit. A value that LRANGE reads faster is only measured:
 * Redis hashes each string of a script byte by byte. LRANGE has no limit in bytes, so it is for values
 * that are short, or of long chunks.
 *
 * KEYS …: keys, reads, v of each. ARGV …: the limit in bytes, "1" to note that they are being read, "1"
 * to leave some to LRANGE, "1" if keys expire.
 * Returns for each value its generation, its number of chunks, the index of the first chunk that is not
 * in the reply, and its bytes, or their number if it is left to LRANGE.
 */
export const READ = new Script(
  KNOWN,
  GUARD,
  WINDOW,
  READING,
  `
local limit, bytes, answer = tonumber(ARGV[4]), 0, {}
local skip = #KEYS[3] - 1
local function isForList(size, length)
  return size > 2048 and (size <= limit or size / length >= 65536)
end
for i = 5, #KEYS do
  if bytes * 2 > limit then break end
  local name = string.sub(KEYS[i], skip)
  local generation = redis.call('HGET', KEYS[3], name)
  local length = generation and redis.call('LLEN', KEYS[i]) or 0
  local value, to, size = '', 0, 0
  if generation and length == 0 and ARGV[7] == '0' then
    return redis.error_reply('PARTDEVICTED ' .. i - 5)
  end
  if length > 0 then
    -- In memory, of all chunks. An error, a table, is not a number.
    if ARGV[6] == '1' then size = redis.pcall('MEMORY', 'USAGE', KEYS[i], 'SAMPLES', '0') end
    if type(size) == 'number' and isForList(size, length) then
      if bytes > 0 and bytes + size > limit then break end
      value = size
      if size > limit and ARGV[5] == '1' then reading(KEYS[4], name) end
    else
      value, to = window(KEYS[i], 0, length, limit - bytes, bytes == 0)
      size = #value
      if to < length then
        if bytes > 0 then break end -- The next call has room for it.
        if ARGV[5] == '1' then reading(KEYS[4], name) end
      end
    end
  end
  bytes = bytes + size
  local n = #answer
  answer[n + 1], answer[n + 2], answer[n + 3], answer[n + 4] = generation or '', length, to, value
end
return answer`,
);

/**
 * Whether values are still what they were: then what LRANGE has read since is theirs.
 *
 * KEYS: keys, reads, v of each. ARGV: "1" to note that they are being read, the generation of each.
 * Returns 1 or 0 for each.
 */
export const IS_SAME = new Script(
  READING,
  `
local answer, skip = {}, #KEYS[1] - 1
for i = 3, #KEYS do
  local name = string.sub(KEYS[i], skip)
  local same = redis.call('HGET', KEYS[1], name) == ARGV[i - 1]
  if same and ARGV[1] == '1' then reading(KEYS[2], name) end
  answer[i - 2] = same and 1 or 0
end
return answer`,
);

/**
 * Continues reading a value as it was, even if it has been removed since.
 *
 * KEYS: keys, reads, v, its name for readers. ARGV: its generation, the index of the first chunk,
 * the number of chunks, the limit in bytes, "1" to note that it is being read. Returns the index of
 * the next chunk, and the bytes.
 */
export const READ_ON = new Script(
  WINDOW,
  READING,
  `
local name = string.sub(KEYS[3], #KEYS[1] - 1)
local value, length = KEYS[3], tonumber(ARGV[3])
if redis.call('HGET', KEYS[1], name) == ARGV[1] then
  if ARGV[5] == '1' then reading(KEYS[2], name) end
else
  value = KEYS[4]
  redis.call('PEXPIRE', value, 60000)
end
if redis.call('LLEN', value) < length then return redis.error_reply('PARTDGONE the value') end
local bytes, to = window(value, tonumber(ARGV[2]), length, tonumber(ARGV[4]), true)
return { to, bytes }`,
);

/**
 * Measures values, as many as one step may look at.
 *
 * KEYS …: keys, reads, v of each. ARGV …: the index of the first value's first chunk not counted
 * yet. Returns for each its bytes from there on, and the index to continue from, or -1.
 */
export const MEASURE = new Script(
  KNOWN,
  GUARD,
  `
local from, seen, answer = tonumber(ARGV[4]), 0, {}
for i = 5, #KEYS do
  local bytes, count = 0, 4
  while from >= 0 and seen < 4194304 do
    local chunks = redis.call('LRANGE', KEYS[i], from, from + count - 1)
    local sum = 0
    for j = 1, #chunks do sum = sum + #chunks[j] end
    bytes = bytes + sum
    seen = seen + sum + 64 * #chunks
    from = #chunks == count and from + count or -1
    count = math.max(1, math.min(256, math.ceil(1048576 * #chunks / (sum + 1))))
  end
  answer[#answer + 1], answer[#answer + 2] = bytes, from
  if from >= 0 or seen >= 4194304 then break end
  from = 0
end
return answer`,
);

/**
 * Checks that the bucket may be read now, and still has this writer's changes. KEYS: lock, writers.
 */
export const CHECK = new Script(KNOWN, GUARD, "return 'done'");

/** Which of some keys have not expired. KEYS: keys, v of each. Returns 1 or 0 for each. */
export const PRESENT = new Script(`
local answer, skip = {}, #KEYS[1] - 1
for i = 2, #KEYS do
  answer[i - 1] = redis.call('EXISTS', KEYS[i])
  if answer[i - 1] == 0 then redis.call('HDEL', KEYS[1], string.sub(KEYS[i], skip)) end
end
return answer`);
