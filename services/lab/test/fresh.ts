// Labs for tests: each in a directory of its own, tied to the test process, so that even a killed test leaves nothing.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createLab, type Host, type Lab, type LabOptions } from '../src/index.ts';

export function freshDir(): string {
  return mkdtempSync(join(tmpdir(), 'holdfast-lab-test-'));
}

export async function withLab(options: LabOptions, story: (lab: Lab) => Promise<void>): Promise<void> {
  const dir = freshDir();
  const lab = await createLab({ dir, tied: true, ...options });
  try {
    await story(lab);
  } finally {
    await lab.down();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** Waits until a condition holds; fails with its name after the limit. */
export async function until(
  what: string,
  condition: () => boolean | Promise<boolean>,
  limitMs = 5_000,
): Promise<void> {
  const deadline = performance.now() + limitMs;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`not within ${limitMs} ms: ${what}`);
    await sleep(10);
  }
}

/** True when one ping is answered. */
export async function hears(from: Host, address: string): Promise<boolean> {
  const { status } = await from.exec(['ping', '-n', '-c', '1', '-W', '0.3', address]);
  return status === 0;
}

/** How many echo requests have reached a host (RFC 4293 icmpMsgStats, /proc/net/snmp). */
export async function echoesReceived(host: Host): Promise<number> {
  const { stdout } = await host.exec(['cat', '/proc/net/snmp']);
  const [names = [], values = []] = stdout
    .split('\n')
    .filter((row) => row.startsWith('Icmp:'))
    .map((row) => row.split(' '));
  return Number(values[names.indexOf('InEchos')]);
}
