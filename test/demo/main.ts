/**
 * `scripts/demo`: a primary dies, its standby takes over, the primary comes back and takes over again as planned, while a
 * client keeps asking and the service keeps writing. Real processes, real addresses, real etcd, real data that is mirrored,
 * in a lab on this machine.
 *
 * Exit status: 0 everything that was promised happened; 1 something did not; 2 wrong words; 130, 143 interrupted.
 * Whatever happens, the lab goes with this process.
 */
import { parseArgs } from 'node:util';
import { processScreen, type Screen } from './screen.ts';
import { tell } from './story.ts';

const usage = `usage: scripts/demo [--outage 5s] [--no-color]

  --outage DURATION   how long a server must be silent before it is declared down (default 5s; the product's is 35s)
  --no-color          plain text
`;

const outageMsMin = 3_000;
const outageMsMax = 120_000;
/** Besides two outages: bringing up, booting again, failing back. */
const limitMsBase = 150_000;

interface Options {
  readonly outage: string;
  readonly outageMs: number;
  readonly colours: boolean;
}

function optionsOf(argv: readonly string[]): Options | string {
  try {
    const { values } = parseArgs({
      args: [...argv],
      options: {
        outage: { type: 'string', default: '5s' },
        'no-color': { type: 'boolean', default: false },
        help: { type: 'boolean', default: false },
      },
    });
    if (values.help) return '';
    const [, amount, unit] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(values.outage) ?? [];
    const factor = { ms: 1, s: 1000, m: 60_000 }[unit ?? ''] ?? Number.NaN;
    const outageMs = Number(amount) * factor;
    if (!(outageMs >= outageMsMin && outageMs <= outageMsMax))
      return `--outage takes a duration from 3s to 2m, such as 5s; not "${values.outage}"`;
    return { outage: values.outage, outageMs, colours: !values['no-color'] };
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

async function main(screen: Screen, options: Options): Promise<number> {
  setTimeout(
    () => {
      screen.line('The demo did not end in time.');
      process.exit(1);
    },
    limitMsBase + 2 * options.outageMs,
  ).unref();
  try {
    const problems = await tell(screen, options);
    for (const problem of problems) screen.line(screen.paint('red', `Not as promised: ${problem}`));
    return problems.length === 0 ? 0 : 1;
  } catch (error) {
    screen.line(
      screen.paint('red', `The demo failed: ${error instanceof Error ? error.message : String(error)}`),
    );
    return 1;
  }
}

const options = optionsOf(process.argv.slice(2));
if (typeof options === 'string') {
  (options === '' ? process.stdout : process.stderr).write(options === '' ? usage : `${options}\n\n${usage}`);
  process.exit(options === '' ? 0 : 2);
}
// The lab is tied to this process: it is removed even when we are killed. The reader of our output may go away as well.
for (const [signal, status] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const)
  process.on(signal, () => {
    process.stdout.write('\nInterrupted; the lab is being removed.\n');
    process.exit(status);
  });
process.stdout.on('error', () => process.exit(1));
process.exit(await main(processScreen(options.colours), options));
