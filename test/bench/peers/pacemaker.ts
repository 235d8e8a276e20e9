/**
 * Pacemaker on Corosync beside us: an IPaddr2 resource at the same virtual address, no fencing. Each side has its own
 * process, IPC and mount namespaces on its host, so that two of them fit on one machine.
 * Source: Pacemaker Administration, "Installing"; ocf_heartbeat_IPaddr2(7).
 */
import { execFileSync } from 'node:child_process';
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { handovers } from '../answers.ts';
import {
  otherServer,
  serverNames,
  virtualAddress,
  withStage,
  type ServerName,
  type Stage,
} from '../stage.ts';
import { until } from '../until.ts';
import { corosyncConfiguration } from './corosync.ts';

const patience = { limitMs: 90_000, everyMs: 300 };

// $1 the corosync configuration, $2 a file for the number of this shell. Shell and daemons are one process namespace.
const script = `mount --make-rprivate / && mount -t proc proc /proc
for folder in /etc/corosync /var/lib/corosync /var/lib/pacemaker /var/log/pacemaker /dev/shm; do
  mkdir -p "$folder"; mount -t tmpfs tmpfs "$folder"
done
mkdir -p /run/crm /run/resource-agents /var/lib/pacemaker/cib /var/lib/pacemaker/pengine \\
  /var/lib/pacemaker/blackbox /var/lib/pacemaker/cores
chown -R hacluster:haclient /var/lib/pacemaker /run/crm /var/log/pacemaker
cp "$1" /etc/corosync/corosync.conf
corosync -f &
for try in $(seq 100); do corosync-cmapctl >/dev/null 2>&1 && break; sleep 0.1; done
PCMK_logfile=none PCMK_stderr=yes pacemakerd -f
exit`;

function start(stage: Stage, name: ServerName, tokenMs: number): void {
  const host = stage.lab.host(name);
  const file = join(host.dir, 'corosync.conf');
  writeFileSync(file, corosyncConfiguration([stage.lab.host('a'), stage.lab.host('b')], tokenMs));
  const argv = [
    'unshare',
    '--mount',
    '--ipc',
    '--pid',
    '--fork',
    '--kill-child',
    'sh',
    '-c',
    script,
    'sh',
    file,
  ];
  const child = host.spawn(argv, { stdio: ['ignore', 'pipe', 'pipe'], cwd: '/' });
  const log = (text: Buffer): void => appendFileSync(join(host.dir, 'pacemaker.log'), text);
  child.stdout?.on('data', log);
  child.stderr?.on('data', log);
  child.on('error', (error) => log(Buffer.from(`${error.message}\n`)));
}

/** Runs a program in the namespaces of a host's pacemakerd; the empty text while there is none. */
function ask(stage: Stage, name: ServerName, argv: readonly string[]): string {
  const daemon = stage.lab
    .host(name)
    .views()
    .find(({ command }) => command.startsWith('pacemakerd'));
  if (daemon === undefined) return '';
  try {
    const enter = [`--target=${daemon.pid}`, '--all', '--', 'timeout', '20', ...argv];
    return execFileSync('nsenter', enter, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    return String(error); // not ready yet: the caller looks again until its limit
  }
}

const resource = `<primitive id="vip" class="ocf" provider="heartbeat" type="IPaddr2">
<instance_attributes id="vip-attributes">
<nvpair id="vip-ip" name="ip" value="${virtualAddress}"/>
<nvpair id="vip-nic" name="nic" value="eth0"/>
<nvpair id="vip-mask" name="cidr_netmask" value="24"/>
</instance_attributes>
<operations><op id="vip-monitor" name="monitor" interval="5s" timeout="20s"/></operations>
</primitive>`;

/** Power off the holder: last answer of the old to first of the new, milliseconds per run. */
export function pacemakerOutages(tokenMs: number, runs: number): Promise<number[]> {
  return withStage(['a', 'b', 'client'], async (stage) => {
    const seen = (): Promise<string> =>
      Promise.resolve(
        serverNames
          .map((name) => readFileSync(join(stage.lab.host(name).dir, 'pacemaker.log'), 'utf8').slice(-2_000))
          .join('\n---\n'),
      );
    const online = (on: ServerName): Promise<true> =>
      until(
        'pacemaker has both nodes online',
        () => ask(stage, on, ['crm_mon', '-1']).includes('Online: [ a b ]') && (true as const),
        { ...patience, seen },
      );
    for (const name of serverNames) start(stage, name, tokenMs);
    await online('a');
    ask(stage, 'a', ['crm_attribute', '-n', 'stonith-enabled', '-v', 'false']);
    ask(stage, 'a', ['cibadmin', '-C', '-o', 'resources', '-X', resource]);
    const gaps: number[] = [];
    for (let run = 0; run < runs; run += 1) {
      const owner = await until('pacemaker holds the address', () => stage.holder(), { ...patience, seen });
      const survivor = otherServer(owner);
      await stage.client.begin(5);
      await stage.client.untilAnsweredBy(owner, patience.limitMs);
      await stage.lab.host(owner).powerOff();
      const { answers } = await stage.client.untilAnsweredBy(survivor, patience.limitMs);
      const handover = handovers(answers).find(({ to }) => to === survivor);
      if (handover !== undefined) gaps.push(handover.gapMs);
      await stage.lab.host(owner).powerOn();
      await stage.servers[owner].start();
      start(stage, owner, tokenMs);
      await online(survivor);
    }
    return gaps;
  });
}
