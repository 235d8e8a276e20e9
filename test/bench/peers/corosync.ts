/**
 * Corosync beside us: two nodes (knet, two_node) with private /etc/corosync, /var/lib/corosync and /dev/shm each. It moves
 * no address, so what is measured is when the survivor forms its new membership.
 * Source: corosync.conf(5), votequorum(5).
 */
import type { ChildProcess } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import { monotonicMs, onLines } from '../lines.ts';
import { withStage, type ServerName, type Stage } from '../stage.ts';
import { until } from '../until.ts';

interface Said {
  readonly atMs: number;
  readonly line: string;
}

const formedMsMax = 60_000;

export function corosyncConfiguration(hosts: readonly Host[], tokenMs: number): string {
  const nodes = hosts.map(
    (host, index) => `  node {
    ring0_addr: ${host.addresses.service}
    name: ${host.name}
    nodeid: ${index + 1}
  }`,
  );
  return `totem {
  version: 2
  cluster_name: lab
  transport: knet
  crypto_cipher: none
  crypto_hash: none
  token: ${tokenMs}
}
nodelist {
${nodes.join('\n')}
}
quorum {
  provider: corosync_votequorum
  two_node: 1
  wait_for_all: 0
}
logging {
  to_stderr: yes
  to_logfile: no
  to_syslog: no
}
`;
}

// $1 the configuration. /run is the host's own already.
const script = `mount --make-rprivate /
for folder in /etc/corosync /var/lib/corosync /dev/shm; do mkdir -p "$folder"; mount -t tmpfs tmpfs "$folder"; done
exec corosync -f -c "$1"`;

function start(stage: Stage, name: ServerName, tokenMs: number, said: Said[]): ChildProcess {
  const host = stage.lab.host(name);
  const file = join(host.dir, 'corosync.conf');
  writeFileSync(file, corosyncConfiguration([stage.lab.host('a'), stage.lab.host('b')], tokenMs));
  const child = host.spawn(['unshare', '--mount', '--ipc', 'sh', '-c', script, 'sh', file], {
    stdio: ['ignore', 'ignore', 'pipe'],
    cwd: '/',
  });
  if (child.stderr !== null) onLines(child.stderr, (line) => said.push({ atMs: monotonicMs(), line }));
  child.on('error', (error) => said.push({ atMs: monotonicMs(), line: error.message }));
  return child;
}

/** Power off one of two: until the other has formed a membership without it, milliseconds per run. */
export function corosyncMemberships(tokenMs: number, runs: number): Promise<number[]> {
  return withStage(['a', 'b', 'client'], async (stage) => {
    const said: Said[] = [];
    const members = (count: number, sinceMs: number): Promise<Said> =>
      until(
        `corosync forms a membership of ${count}`,
        () => said.find(({ atMs, line }) => atMs >= sinceMs && line.includes(`Members[${count}]`)),
        {
          limitMs: formedMsMax,
          everyMs: 5,
          seen: () =>
            Promise.resolve(
              said
                .slice(-15)
                .map(({ line }) => line)
                .join('\n'),
            ),
        },
      );
    const times: number[] = [];
    stage.client.stop(); // nothing to ask
    start(stage, 'b', tokenMs, said);
    for (let run = 0; run < runs; run += 1) {
      const startMs = monotonicMs();
      start(stage, 'a', tokenMs, []);
      await members(2, startMs);
      const offMs = monotonicMs();
      await stage.lab.host('a').powerOff();
      times.push((await members(1, offMs)).atMs - offMs);
      await stage.lab.host('a').powerOn();
    }
    return times;
  });
}
