/**
 * The runbook of the planned failback, run as it is written: a real cluster, a primary that lost its power and came back,
 * then every command of every block, in order, on the host that the block names. A block is
 *
 *   ```sh host=a owner=b      its commands run on a; afterwards d3 is active on b
 *   ```sh host=a again        each is run until it ends well
 */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { createLab, type Lab } from '@holdfast/lab';
import { bringUp, isCopied, type LabCluster } from '../../services/cli/src/lab/cluster.ts';
import { quickDisk, removeDisk } from './quick-disk.ts';
import { shimFolder } from '../../services/cli/src/lab/holdfast-program.ts';

interface Block {
  readonly host: string;
  readonly owner: string | null;
  readonly again: boolean;
  readonly commands: readonly string[];
}

const page = readFileSync(
  fileURLToPath(new URL('../../deploy/runbooks/planned-failback.md', import.meta.url)),
  'utf8',
);

/** Throws for a block without a host: a command that nothing tests. */
function blocksOf(markdown: string): Block[] {
  return [...markdown.matchAll(/^```(\w+)(.*)\n([\s\S]*?)^```$/gm)].map(
    ([, language, words = '', body = '']) => {
      const host = /\bhost=(\w+)/.exec(words)?.[1];
      if (language !== 'sh' || host === undefined) throw new Error(`a block without a host: ${body}`);
      const commands = body.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('#'));
      const owner = /\bowner=(\w+)/.exec(words)?.[1] ?? null;
      return { host, owner, again: /\bagain\b/.test(words), commands };
    },
  );
}

const blocks = blocksOf(page);
const outage = '4s';
const commandMs = 90_000;
/** Until a server that is back has started everything, on a busy machine. */
const againMs = 30_000;
const pauseMs = 1_000;

let lab: Lab;
let cluster: LabCluster;

const activeOn = (server: string): Promise<unknown> =>
  cluster.until('b', `d3 active on ${server}`, ({ groups }) => {
    const d3 = groups['d3'];
    return d3?.owner === server && d3.phase === 'active';
  });

beforeAll(async () => {
  lab = await createLab({ dir: quickDisk('runbook'), hosts: ['a', 'b', 'w'], tied: true });
  cluster = await bringUp(lab, { outage });
}, 180_000);

afterAll(async () => {
  await lab.down();
  removeDisk(lab.dir);
}, 60_000);

describe('the runbook of the planned failback', () => {
  it('has commands for both servers, and says where the group ends', () => {
    expect(new Set(blocks.map((block) => block.host))).toEqual(new Set(['a', 'b']));
    expect(blocks.at(-1)?.owner).toBe('a');
  });

  it('begins after a failover, with the old primary back', async () => {
    await lab.host('a').powerOff();
    await activeOn('b');
    await lab.host('a').powerOn();
    cluster.run('a');
    await cluster.until('b', 'a is up again and stands by with a complete copy', (status) => {
      const { servers, quorum } = status;
      const healthy = Object.values(quorum.members).every((member) => member.healthy);
      return servers['a']?.state === 'up' && healthy && isCopied(status);
    });
  }, 180_000);

  it('works as written, command by command', async () => {
    const env = { PATH: `${shimFolder(lab.dir)}:${process.env['PATH'] ?? ''}:/usr/sbin:/sbin` };
    for (const { host, owner, again, commands } of blocks) {
      for (const command of commands) {
        const on = lab.host(host);
        const run = async (): Promise<{ status: number | null; says: string }> => {
          const { status, stdout, stderr } = await on.exec(['/bin/sh', '-c', command], {
            env: { ...env, HOLDFAST_DIR: on.dir },
            timeoutMs: commandMs,
          });
          return { status, says: `${stdout}${stderr}` };
        };
        const endMs = performance.now() + (again ? againMs : 0);
        let ended = await run();
        while (ended.status !== 0 && performance.now() < endMs) {
          await sleep(pauseMs);
          ended = await run();
        }
        expect({ host, command, ...ended }).toEqual({ host, command, ...ended, status: 0 });
      }
      if (owner !== null) await activeOn(owner);
    }
  }, 300_000);

  it('leaves the group on the primary, its address on it alone', async () => {
    await activeOn('a');
    const holders: string[] = [];
    for (const host of ['a', 'b', 'w']) {
      const { stdout } = await lab.host(host).exec(['ip', '-o', 'address', 'show', 'to', '10.77.0.100']);
      if (stdout.trim() !== '') holders.push(host);
    }
    expect(holders).toEqual(['a']);
  }, 60_000);
});
