#!/usr/bin/env node
// The program. Everything else is loaded when a command needs it. In CommonJS, which Node starts sooner than a module.
const { existsSync } = require('node:fs');
const { join } = require('node:path');

const entry = join(__dirname, '../dist/bundle/holdfast.js');
if (existsSync(entry)) {
  void require(entry).main(process.argv.slice(2));
} else {
  process.stderr.write('holdfast: not built yet. Run `npm run build` in the checkout first.\n');
  process.exitCode = 1;
}
