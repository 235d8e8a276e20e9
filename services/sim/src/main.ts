/** The command behind scripts/sim: runs seeds in as many processes as there are cores. */

import { runSeed } from './run.ts';

const minutes = Number(process.argv[4] ?? 10);
const from = Number(process.argv[2] ?? 1);
const count = Number(process.argv[3] ?? 1);
const t0 = Date.now();
let bad = 0;
for (let seed = from; seed < from + count; seed += 1) {
  const t = Date.now();
  const r = runSeed(seed, { minutes });
  if (count < 5) console.log(seed, r.events, r.changesOfOwner, Date.now() - t, 'ms', [...r.held]);
  if (r.violation !== null) {
    bad += 1;
    console.log(seed, r.violation.invariant, r.violation.says);
    if (count === 1) console.log(r.journal(Number(process.argv[5] ?? 60)).join('\n'));
  }
}
console.log(count, 'seeds', bad, 'bad', Date.now() - t0, 'ms');
