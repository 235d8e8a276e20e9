/**
 * A thread that runs a body once and writes the code cache of all that was compiled until it ended: a cache that is made
 * before holds nothing that is compiled only when it is called.
 */
const { renameSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { workerData } = require('node:worker_threads');
const { cacheOf, compiled } = require('./compiled.cjs');

const { body, kind, keeps } = workerData;
const { run, toCache } = compiled(body);
process.once('exit', () => {
  if (!keeps) return;
  const next = `${cacheOf(body)}.${String(process.pid)}`;
  writeFileSync(next, toCache());
  renameSync(next, cacheOf(body));
});
const made = { exports: {} };
run(made, createRequire(body));
// A command is called by its bin. The entry of a thread would wait for what to do.
if (kind === 'command') void made.exports.main(process.argv.slice(2));
if (kind === 'thread') process.exit();
