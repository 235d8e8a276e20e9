/**
 * A thread that runs a body once and writes the code cache of all that was compiled until it ended: a cache that is made
 * before holds nothing that is compiled only when it is called.
 */
const { renameSync, writeFileSync } = require('node:fs');
const { createRequire } = require('node:module');
const { workerData } = require('node:worker_threads');
const { cacheOf, compiled } = require('./compiled.cjs');

const { body, kind, keeps, lines } = workerData;
const { run, toCache } = compiled(body);
process.once('exit', () => {
  if (!keeps) return;
  const next = `${cacheOf(body)}.${String(process.pid)}`;
  writeFileSync(next, toCache());
  renameSync(next, cacheOf(body));
});
const made = { exports: {} };
run(made, createRequire(body));
// A command is called by its bin, and ends the process. The entry of a thread would wait for what to do.
if (kind === 'command') void inTurn(made.exports);
// Each is loaded by being looked at.
if (kind === 'parts') Object.values(made.exports);
if (kind === 'thread') process.exit();

async function inTurn({ main, processSurroundings, runCommandLine }) {
  for (const line of lines.slice(0, -1)) await runCommandLine(line, processSurroundings());
  await main(lines.at(-1));
}
