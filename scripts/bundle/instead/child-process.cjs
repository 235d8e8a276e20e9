/** `child_process` for commander, which starts programs for commands that are programs of their own. None of ours is. */
module.exports = {
  spawn: (...words) => require('node:child_process').spawn(...words),
};
