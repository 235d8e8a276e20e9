/** The entry of a process or a thread, NAME.js: runs its body, NAME.cjs (ADR 32). It is bundled into one file, the same for all. */
const { compiled } = require('./compiled.cjs');

const body = __filename.replace(/\.js$/, '.cjs');

// Traces name the sources then. Only Node's own loader reads the maps, and it takes longer to than most commands.
if ((process.env.HOLDFAST_DEBUG ?? '') !== '') {
  process.setSourceMapsEnabled(true);
  module.exports = require(body);
} else {
  compiled(body).run(module, require);
}
