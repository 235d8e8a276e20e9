/** The kernel below all hosts keeps the loop devices of a host that lost its power: they are noted before, and detached after. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { Lab } from '@holdfast/lab';

export class Loops {
  readonly #devices = new Set<string>();

  /** What is attached for d3/disk on these hosts now; the power of one may go. */
  note(lab: Lab, hosts: readonly string[]): void {
    for (const host of hosts) {
      const record = join(lab.host(host).dir, 'run', 'attached-d3.disk.json');
      if (!existsSync(record)) continue;
      const { device } = JSON.parse(readFileSync(record, 'utf8')) as { readonly device: string };
      this.#devices.add(device);
    }
  }

  /** Those that nobody serves any more: the name space in which their file had a longer name is gone. */
  async detach(): Promise<void> {
    for (const device of this.#devices) {
      const told = `/sys/block/${device.slice('/dev/'.length)}/loop/backing_file`;
      if (existsSync(told) && readFileSync(told, 'utf8').trim() === '/volume')
        await promisify(execFile)('losetup', ['--detach', device], { timeout: 10_000 });
    }
  }
}
