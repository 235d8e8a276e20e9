#!/usr/bin/env node
// The program. Everything else is loaded when a command needs it.
import { existsSync } from 'node:fs';

const main = new URL('../dist/main.js', import.meta.url);
if (existsSync(main)) {
  const { main: run } = await import(main.href);
  await run(process.argv.slice(2));
} else {
  process.stderr.write('holdfast: not built yet. Run `npm run build` in the checkout first.\n');
  process.exitCode = 1;
}
