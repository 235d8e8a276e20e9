/**
 * keepalived beside us: a VRRPv3 pair, unicast, priorities 150 and 100, with the same virtual address on the same stage.
 * Source: keepalived.conf(5).
 */
import { appendFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import { handovers } from '../answers.ts';
import { virtualAddress, withStage, type ServerName, type Stage } from '../stage.ts';
import { until } from '../until.ts';

const patience = { limitMs: 30_000 };

function configuration(host: Host, peer: Host, advertSeconds: number, priority: number): string {
  return `global_defs {
  vrrp_version 3
  script_user root
}
vrrp_instance v {
  state BACKUP
  interface eth0
  virtual_router_id 51
  priority ${priority}
  advert_int ${advertSeconds}
  unicast_src_ip ${host.addresses.service}
  unicast_peer {
    ${peer.addresses.service}
  }
  virtual_ipaddress {
    ${virtualAddress}/24 dev eth0
  }
}
`;
}

function start(stage: Stage, name: ServerName, advertSeconds: number): void {
  const host = stage.lab.host(name);
  const peer = stage.lab.host(name === 'a' ? 'b' : 'a');
  const file = join(host.dir, 'keepalived.conf');
  writeFileSync(file, configuration(host, peer, advertSeconds, name === 'a' ? 150 : 100));
  const pidFiles = [join(host.dir, 'keepalived.pid'), join(host.dir, 'keepalived-vrrp.pid')] as const;
  // A stale file whose number is still a zombie's would stop a start.
  for (const pidFile of pidFiles) rmSync(pidFile, { force: true });
  const argv = ['keepalived', '-n', '-l', '-P', '-f', file, '-p', pidFiles[0], '-r', pidFiles[1]];
  const child = host.spawn(argv, { stdio: ['ignore', 'pipe', 'pipe'] });
  const log = (text: Buffer): void => appendFileSync(join(host.dir, 'keepalived.log'), text);
  child.stdout?.on('data', log);
  child.stderr?.on('data', log);
  child.on('error', (error) => log(Buffer.from(`${error.message}\n`)));
}

const logs = (stage: Stage) => (): Promise<string> =>
  Promise.resolve(
    (['a', 'b'] as const)
      .map((name) => {
        const text = readFileSync(join(stage.lab.host(name).dir, 'keepalived.log'), 'utf8');
        return `${name}: ${text.split('\n').slice(-12).join('\n')}`;
      })
      .join('\n'),
  );

const settled = (stage: Stage): Promise<true> =>
  until('keepalived holds the address on a', () => stage.holder() === 'a' && (true as const), {
    ...patience,
    seen: logs(stage),
  });

/** Power off the owner: last answer of the old to first of the new, milliseconds per run. */
export function keepalivedOutages(advertSeconds: number, runs: number): Promise<number[]> {
  return withStage(['a', 'b', 'client'], async (stage) => {
    const gaps: number[] = [];
    start(stage, 'b', advertSeconds);
    for (let run = 0; run < runs; run += 1) {
      start(stage, 'a', advertSeconds);
      await settled(stage);
      await stage.client.begin(5);
      await stage.client.untilAnsweredBy('a', patience.limitMs);
      await stage.lab.host('a').powerOff();
      const { answers } = await stage.client.untilAnsweredBy('b', patience.limitMs);
      const handover = handovers(answers).find(({ to }) => to === 'b');
      if (handover !== undefined) gaps.push(handover.gapMs);
      await stage.lab.host('a').powerOn();
      await stage.servers.a.start();
    }
    return gaps;
  });
}

export interface KilledRuns {
  readonly runs: number;
  /** Runs in which both kernels held the address at once. */
  readonly onBoth: number;
}

/** SIGKILL of everything of keepalived's on the owner, host alive. */
export function keepalivedKilled(advertSeconds: number, runs: number): Promise<KilledRuns> {
  return withStage(['a', 'b', 'client'], async (stage) => {
    let onBoth = 0;
    start(stage, 'b', advertSeconds);
    for (let run = 0; run < runs; run += 1) {
      start(stage, 'a', advertSeconds);
      await settled(stage);
      const host = stage.lab.host('a');
      const victims = host.views().filter(({ command }) => command.includes('keepalived'));
      for (const { pid } of victims) process.kill(pid, 'SIGKILL');
      await until('keepalived moves the address to b', () => stage.servers.b.holdsNow(), {
        ...patience,
        seen: logs(stage),
      });
      if (stage.sharedMs() > 0) onBoth += 1;
      // What nobody else does: take the address off by hand, and begin anew.
      await host.exec(['ip', 'addr', 'del', `${virtualAddress}/24`, 'dev', 'eth0']);
      await stage.servers.a.stop();
      await stage.servers.b.stop();
      await stage.servers.b.start();
      await stage.servers.a.start();
    }
    return { runs, onBoth };
  });
}
