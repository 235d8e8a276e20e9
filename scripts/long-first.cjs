/**
 * The order of test files: those that take minutes first, so that none of them is left to run alone at the end. Jest knows how long
 * they take only where they ran before, which on a clean checkout they did not.
 */
const { default: Sequencer } = require('@jest/test-sequencer');

const long = /-(random|kills|crash)\.test\.ts$/;

module.exports = class LongFirst extends Sequencer {
  sort(tests) {
    const sorted = super.sort(tests);
    const isLong = ({ path }) => long.test(path);
    return [...sorted.filter(isLong), ...sorted.filter((test) => !isLong(test))];
  }
};
