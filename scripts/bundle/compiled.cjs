/**
 * A body, NAME.cjs, and V8's code cache of it, NAME.cache: a seal, then what V8 made. Of a cache V8 itself compares only
 * versions, flags and the length of the text. It would run the code of another body, and a garbled one ends the process. So:
 *
 *   C1  a cache is used only with its seal, which is over all of it, the body's mark, and the Node that made it
 *   C2  without a cache, or when V8 rejects it, all is the same but slower
 */
const { createHash } = require('node:crypto');
const { readFileSync } = require('node:fs');
const { dirname } = require('node:path');
const { Script } = require('node:vm');

const sealBytes = 32;
/** A body begins with it: a comment, the hash of the rest (scripts/bundle.js). */
const markLength = 68;

function compiled(body) {
  // It is ASCII, which is read fastest so, and of which V8 then makes no copy. Nothing may be put before or behind it.
  const text = readFileSync(body, 'latin1');
  const mark = text.slice(0, markLength);
  const cachedData = opened(mark, cacheOf(body));
  const script = new Script(text, { filename: body, cachedData });
  return {
    /** Whether V8 took the cache. */
    cached: cachedData !== undefined && script.cachedDataRejected === false,
    run(module, require) {
      const main = script.runInThisContext();
      main.call(module.exports, module.exports, require, module, body, dirname(body));
    },
    /** What its cache has to be: all that was compiled until now. */
    toCache() {
      const data = script.createCachedData();
      return Buffer.concat([seal(mark, data), data]);
    },
  };
}

const cacheOf = (body) => body.replace(/\.cjs$/, '.cache');

/** C1. Undefined: there is none that fits. */
function opened(mark, cache) {
  let sealed;
  try {
    sealed = readFileSync(cache);
  } catch {
    return undefined; // C2.
  }
  const data = sealed.subarray(sealBytes);
  return seal(mark, data).equals(sealed.subarray(0, sealBytes)) ? data : undefined;
}

const seal = (mark, data) =>
  createHash('sha256').update(`${mark} ${process.version} ${process.arch}`).update(data).digest();

module.exports = { cacheOf, compiled };
