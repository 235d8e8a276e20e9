/**
 * Puts the slow line between source and target, for mirror data only. The source's packets to the mirror port of the
 * target go to a third host, which has the target's addresses for itself, out of sight of the others, and listens there.
 * Heartbeats and control keep their way. Source: ip-rule(8), ip-sysctl.rst of the kernel (arp_ignore, arp_announce).
 */
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import { onLines } from '../lines.ts';
import { until, within } from '../until.ts';
import { sourceName, targetName, type Ground } from './ground.ts';
import type { LineCounters, LineOrder } from './line.ts';

export interface FarLine {
  order(order: LineOrder): Promise<LineCounters>;
}

const port = 7445;
const table = '77';
const answerMsMax = 10_000;
/** By which the line reaches the target itself. */
const behind = '10.77.0.112';

async function must(host: Host, ...argv: readonly string[]): Promise<void> {
  const { status, stderr } = await host.exec(argv);
  if (status !== 0) throw new Error(`${argv.join(' ')} on ${host.name}: ${stderr.trim()}`);
}

export async function withFarLine<Result>(
  ground: Ground,
  act: (line: FarLine) => Promise<Result>,
): Promise<Result> {
  const [source, target, middle] = [sourceName, targetName, 'client'].map((name) => ground.lab.host(name));
  if (source === undefined || target === undefined || middle === undefined) throw new Error('no such hosts');
  const addresses = [target.addresses.service, target.addresses.private];
  await must(target, 'ip', 'addr', 'replace', `${behind}/24`, 'dev', 'eth0');
  // It neither answers for the target's addresses nor asks in their name.
  const quiet =
    'echo 1 >/proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 >/proc/sys/net/ipv4/conf/all/arp_announce';
  await must(middle, 'sh', '-c', quiet);
  for (const address of addresses) await must(middle, 'ip', 'addr', 'replace', `${address}/32`, 'dev', 'lo');
  const child = middle.spawn([process.execPath, join(import.meta.dirname, 'line.js'), behind, `${port}`], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  const answers: string[] = [];
  child.on('error', () => undefined); // it does not answer then
  child.stdin?.on('error', () => undefined);
  if (child.stdout !== null) onLines(child.stdout, (line) => answers.push(line));
  const answer = async (): Promise<LineCounters> => {
    await until('the line answers', () => answers.length > 0, { limitMs: answerMsMax, everyMs: 1 });
    return JSON.parse(answers.shift() ?? '') as LineCounters;
  };
  const rule = (address: string): string[] => [
    'to',
    address,
    'ipproto',
    'tcp',
    'dport',
    `${port}`,
    'lookup',
    table,
  ];
  try {
    await answer();
    await must(source, 'ip', 'route', 'replace', 'default', 'via', middle.addresses.service, 'table', table);
    for (const address of addresses) await must(source, 'ip', 'rule', 'add', ...rule(address));
    return await act({
      order: (order) => {
        child.stdin?.write(`${JSON.stringify(order)}\n`);
        return answer();
      },
    });
  } finally {
    for (const address of addresses) await source.exec(['ip', 'rule', 'del', ...rule(address)]);
    child.stdin?.end();
    await within('the line ends', answerMsMax, ended(child));
    for (const address of addresses) await middle.exec(['ip', 'addr', 'del', `${address}/32`, 'dev', 'lo']);
    await target.exec(['ip', 'addr', 'del', `${behind}/24`, 'dev', 'eth0']);
  }
}

const ended = (child: ReturnType<Host['spawn']>): Promise<void> =>
  new Promise((resolve) => {
    if (child.exitCode !== null || child.signalCode !== null) resolve();
    else child.once('exit', () => resolve());
  });
