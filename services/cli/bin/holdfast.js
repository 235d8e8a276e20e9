#!/usr/bin/env node
// The program. Everything else is loaded when a command needs it.
import { existsSync } from 'node:fs';

const main = new URL('../dist/bundle/holdfast.js', import.meta.url);
if (existsSync(main)) {
  // Traces name the sources; to read the maps takes longer than most commands.
  if ((process.env.HOLDFAST_DEBUG ?? '') !== '') process.setSourceMapsEnabled(true);
  const { main: run } = await import(main.href);
  await run(process.argv.slice(2));
} else {
  process.stderr.write('holdfast: not built yet. Run `npm run build` in the checkout first.\n');
  process.exitCode = 1;
}
