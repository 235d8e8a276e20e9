/** A server with a mounted volume loses its power: how long after the declaration the file system is there again. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import { createLab, type Lab } from '@holdfast/lab';
import { Loops } from '../../lab/loops.ts';
import type { Figure } from '../figure.ts';
import { declaration, eventAfter } from '../history.ts';
import { monotonicMs } from '../lines.ts';
import { figureOf } from '../mirror/blank.ts';
import type { VolumePlan } from '../plan.ts';
import { tellError, type Say } from '../series.ts';
import { otherServer, type ServerName } from '../stage.ts';

const group = 'd3';
const outage = '5s';
const mount = '/srv/db';
const writingMs = 3_000;
const settleMs = 120_000;
/** A file system of that size has as much journal as one ever gets. */
const volume = '10GiB';

export async function volumeTakeover(plan: VolumePlan, say: Say): Promise<Figure> {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-bench-'));
  let lab: Lab | null = null;
  const loops = new Loops();
  const values: number[] = [];
  const notes: string[] = [];
  try {
    lab = await createLab({ dir, hosts: ['a', 'b', 'w'], tied: true });
    const cluster = await bringUp(lab, { config: configuration(lab) });
    for (let run = 0; run < plan.runs; run += 1) {
      values.push(await takeover(lab, cluster, loops));
      say(`takeover of a mounted volume: ${values.at(-1)?.toFixed(0) ?? ''} ms after the declaration`);
    }
  } catch (error) {
    say(tellError(error));
    notes.push(tellError(error));
  } finally {
    await lab?.down();
    await loops.detach();
    rmSync(dir, { recursive: true, force: true });
  }
  return figureOf({
    id: 'takeover',
    name: `takeover of a mounted volume of ${volume} (ext4, journal replayed), from the declaration to active`,
    mustReach: 'under 2 s',
    unit: 'ms',
    goal: { medianMax: 2_000 },
    values,
    lost: plan.runs - values.length,
    notes,
  });
}

/** Milliseconds. */
async function takeover(lab: Lab, cluster: LabCluster, loops: Loops): Promise<number> {
  const before = await cluster.until(
    'w',
    'a volume in step',
    (status) => ownerInStep(status) !== null,
    settleMs,
  );
  const owner = ownerInStep(before) ?? 'a';
  const standby = otherServer(owner);
  const script = `i=0; while :; do i=$((i+1)); dd if=/dev/urandom of=${mount}/f$((i%64)) bs=64k count=4 conv=fsync status=none; done`;
  lab.host(owner).spawn(['sh', '-c', script], { stdio: 'ignore' });
  await new Promise((resolve) => setTimeout(resolve, writingMs));
  loops.note(lab, [owner]);
  const offMs = monotonicMs();
  await lab.host(owner).powerOff();
  await cluster.until(
    'w',
    `${group} active on ${standby}`,
    ({ groups }) => groups[group]?.owner === standby && groups[group].phase === 'active',
    settleMs,
  );
  const declared = await declaration(cluster, standby, { group, server: owner, afterMs: offMs });
  const doneMs = await eventAfter(cluster, standby, { group, kind: 'failover-done', afterMs: declared.atMs });
  const found = await lab.host(standby).exec(['sh', '-c', `ls ${mount} | grep -c '^f'`]);
  if (!(Number(found.stdout) > 0))
    throw new Error(`nothing that was written is on ${standby}: ${found.stderr}`);
  await loops.detach();
  await lab.host(owner).powerOn();
  cluster.run(owner);
  return doneMs - declared.atMs;
}

type Status = NonNullable<Awaited<ReturnType<LabCluster['status']>>>;

function ownerInStep({ groups, servers }: Status): ServerName | null {
  const held = groups[group];
  const owner = held?.owner;
  if (held?.phase !== 'active' || (owner !== 'a' && owner !== 'b')) return null;
  const copy = held.mirrors['disk']?.targets[otherServer(owner)];
  const well =
    copy?.state === 'replicating' && copy.consistent && servers[otherServer(owner)]?.state === 'up';
  return well ? owner : null;
}

function configuration(lab: Lab): string {
  const device = `${lab.dir}/hosts/$HOLDFAST_SERVER/holdfast/volumes/${group}/disk`;
  const make = JSON.stringify(['sh', '-ec', `blkid -p ${device} || mkfs.ext4 -q ${device}`]);
  return `groups:
  ${group}:
    servers: [a, b]
    outage: ${outage}
    takeover: automatic
    failback: manual
    failoversPerHour: 100
    identity: { mode: add, addresses: [10.77.0.100/24] }
    mirrors:
      disk: { volume: { path: /srv/disk.img, size: ${volume}, attach: nbdfuse } }
    resources:
      - name: format
        command: { start: ${make}, stop: ["true"] }
        startTimeout: 60s
      - name: db
        mount: { mirror: disk, at: ${mount}, type: ext4 }
        startTimeout: 30s
        stopTimeout: 5s
`;
}
