import { Script } from "./script.js";

// Scripts that change a bucket. Each begins in the same way:
//
// KEYS: lock, writers, keys, reads, …
//
// ARGV: the lock's token or "", the writer, the change's number, milliseconds to live or "0", …
//
// `writers` is a hash of each writer's last number, `keys` one of each key's generation, and
// `reads` one of the keys that are read in several steps, with the time (ms) until which their
// readers may go on.
//
// When the server is out of memory only a script's first write fails. So the write that may fail
// comes first, and no change is half done. Redis puts "ERR" before an error of a single word, so
// our errors have two.

/** Skips a change that was made already, and refuses one whose predecessor is missing. */
const SEQUENCE = `
local last = tonumber(redis.call('HGET', KEYS[2], ARGV[2]) or '0')
local number = tonumber(ARGV[3])
if number <= last then
  redis.pcall('HSET', KEYS[2], ARGV[2], last) -- A write, for WAIT to wait for.
  return 'done'
end
if number ~= last + 1 then return redis.error_reply('PARTDSEQ ' .. last) end`;

/** Fencing: a store whose lock was lost changes nothing, and another's lock is respected. */
export const GUARD = `
local holder = redis.call('GET', KEYS[1])
if ARGV[1] ~= '' and holder ~= ARGV[1] then return redis.error_reply('PARTDLOST the lock') end
if ARGV[1] == '' and holder then return redis.error_reply('PARTDLOCKED ' .. holder) end`;

const PREPARE = `
local generation = ARGV[2] .. ':' .. ARGV[3]
local lifetime = tonumber(ARGV[4])
local skip = #KEYS[3] - 1 -- '{…}:keys' and '{…}:v:<key>': where the key begins.
local function nameOf(key) return string.sub(key, skip) end
local function touch(key) if lifetime > 0 then redis.call('PEXPIRE', key, lifetime) end end
local function finish() touch(KEYS[2]) touch(KEYS[3]) return 'done' end`;

/** Keeps a value under another name while it is being read, until its readers are done. */
const REMOVE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000
local function readUntil(name)
  local till = redis.call('HGET', KEYS[4], name)
  return till and tonumber(till) > now
end
local function remove(value, detached)
  local name = nameOf(value)
  redis.call('HDEL', KEYS[3], name)
  if detached ~= value and redis.call('EXISTS', value) == 1 then
    redis.call('RENAME', value, detached)
    redis.call('PEXPIRE', detached, 60000)
    redis.call('HDEL', KEYS[4], name)
  else
    redis.call('UNLINK', value)
  end
end
-- Whether the name under which a value is to be kept is that of its generation.
local function fits(value, detached, current)
  return detached ~= value and string.sub(detached, skip, skip + #current) == current .. ':'
end`;

const PUSH = `
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
local function push(lengths, chunks, first)
  local at, from, length = 1, 1, 0
  for i = first, #KEYS do
    length, at = struct.unpack('<I4', lengths, at)
    if redis.call('RPUSH', KEYS[i], string.sub(chunks, from, from + length - 1)) == 1 then
      redis.call('HSET', KEYS[3], nameOf(KEYS[i]), generation)
    end
    from = from + length
    touch(KEYS[i])
  end
end`;

/**
 * Appends chunks to the keys in the same positions.
 *
 * KEYS …: v of each chunk. ARGV …: lengths (uint32 LE), the chunks end to end.
 */
export const APPEND = new Script(
  SEQUENCE,
  GUARD,
  PREPARE,
  PUSH,
  `
push(ARGV[5], ARGV[6], 5)
return finish()`,
);

/**
 * Begins a transaction of this script, RPUSHX commands and {@link END_PUSH}: gives values the names
 * of targets if the change is due, so that commands push to them only then. A new value begins with
 * an empty chunk. The chunks of other keys are appended as {@link APPEND} does it.
 *
 * KEYS …: v of each value, the target of each, v of each chunk. ARGV …: lengths (uint32 LE), the chunks
 * end to end, the number of targets.
 */
export const BEGIN_PUSH = new Script(
  SEQUENCE,
  GUARD,
  PREPARE,
  `
local count = tonumber(ARGV[7])
for i = 5, 4 + count do redis.call('LLEN', KEYS[i]) end -- An error while nothing is done yet.`,
  PUSH,
  `
for i = 5, 4 + count do
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('RENAME', KEYS[i], KEYS[count + i])
  else
    redis.call('RPUSH', KEYS[count + i], '')
    redis.call('HSET', KEYS[3], nameOf(KEYS[i]), generation)
  end
end
push(ARGV[5], ARGV[6], 5 + 2 * count)
return finish()`,
);

/** KEYS …: v of each value, the target of each. */
export const END_PUSH = new Script(
  PREPARE,
  `
local count = (#KEYS - 4) / 2
for i = 5, 4 + count do
  local value, target = KEYS[i], KEYS[count + i]
  if redis.call('EXISTS', target) == 1 then
    if redis.call('LPOS', target, '', 'MAXLEN', 1) then redis.call('LPOP', target) end
    redis.call('RENAME', target, value)
    touch(value)
  end
end
return 'done'`,
);

/**
 * Appends the chunks of the staging list.
 *
 * KEYS …: staging, v of each chunk.
 */
export const COMMIT = new Script(
  SEQUENCE,
  GUARD,
  PREPARE,
  `
if redis.call('LLEN', KEYS[5]) ~= #KEYS - 5 then
  return redis.error_reply('PARTDSTAGE the staged chunks are gone')
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
for i = 6, #KEYS do
  redis.call('LMOVE', KEYS[5], KEYS[i], 'LEFT', 'RIGHT')
  if redis.call('LLEN', KEYS[i]) == 1 then
    redis.call('HSET', KEYS[3], nameOf(KEYS[i]), generation)
  end
  touch(KEYS[i])
end
return finish()`,
);

/**
 * Adds chunks to a staging list, once.
 *
 * KEYS: staging. ARGV: the number of chunks already there, the chunks.
 */
export const STAGE = new Script(`
local there = redis.call('LLEN', KEYS[1])
local before = tonumber(ARGV[1])
if there == before then
  for i = 2, #ARGV do redis.call('RPUSH', KEYS[1], ARGV[i]) end
elseif there ~= before + #ARGV - 1 then
  return redis.error_reply('PARTDSTAGE the staged chunks are gone')
end
redis.call('PEXPIRE', KEYS[1], 600000)
return 'done'`);

/**
 * Replaces a value.
 *
 * KEYS …: v, its name for readers or v, staging. ARGV …: the number of staged chunks or 0; the
 * chunks.
 */
export const SET = new Script(
  SEQUENCE,
  GUARD,
  PREPARE,
  REMOVE,
  `
local value, detached, staged = KEYS[5], KEYS[6], tonumber(ARGV[5])
local name = nameOf(value)
local current = redis.call('HGET', KEYS[3], name)
if current and readUntil(name) and not fits(value, detached, current) then
  return redis.error_reply('PARTDREAD 1 ' .. current)
end
if staged > 0 and redis.call('LLEN', KEYS[7]) ~= staged then
  return redis.error_reply('PARTDSTAGE the staged chunks are gone')
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
remove(value, current and detached or value)
if staged > 0 then
  redis.call('RENAME', KEYS[7], value)
  redis.call('PERSIST', value)
else
  for i = 6, #ARGV do redis.call('RPUSH', value, ARGV[i]) end
end
redis.call('HSET', KEYS[3], name, generation)
touch(value)
return finish()`,
);

/**
 * Removes values, all or none of them.
 *
 * KEYS …: v of each, then for each its name for readers or v. ARGV …: for each its expected state,
 * as "generation length", or "" for any.
 */
export const REMOVE_ALL = new Script(
  SEQUENCE,
  GUARD,
  PREPARE,
  REMOVE,
  `
local count = (#KEYS - 4) / 2
local reading = {}
for i = 1, count do
  local value, detached, wanted = KEYS[4 + i], KEYS[4 + count + i], ARGV[4 + i]
  local name = nameOf(value)
  local current = redis.call('HGET', KEYS[3], name)
  if wanted ~= '' and (current or '') .. ' ' .. redis.call('LLEN', value) ~= wanted then
    return redis.error_reply('PARTDCHANGED ' .. i)
  end
  if current and readUntil(name) and not fits(value, detached, current) then
    reading[#reading + 1] = i .. ' ' .. current
  end
end
if #reading > 0 then return redis.error_reply('PARTDREAD ' .. table.concat(reading, ' ')) end
-- First what frees memory: it may be done when there is none.
for i = 1, count do
  local value, detached = KEYS[4 + i], KEYS[4 + count + i]
  remove(value, readUntil(nameOf(value)) and detached or value)
end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
return finish()`,
);

/**
 * Ends a writer whose last change may still be under way, by setting its number beyond all its
 * changes.
 *
 * KEYS: writers. ARGV: the writer. Returns its last number.
 */
export const END_WRITER = new Script(`
local last = tonumber(redis.call('HGET', KEYS[1], ARGV[1]) or '0')
redis.call('HSET', KEYS[1], ARGV[1], '9007199254740991')
return last`);
