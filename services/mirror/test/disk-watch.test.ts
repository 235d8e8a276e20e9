/** Whether data can be written: what counts as trouble, and when it is over. */
import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { DiskWatch } from '../src/files/disk-watch.ts';

async function until(what: string, isSo: () => boolean): Promise<void> {
  const end = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > end) throw new Error(`it did not come true that ${what}`);
    await delay(5);
  }
}

describe('the watch over a disk', () => {
  let watch: DiskWatch;
  afterEach(() => watch.close());

  it('tells trouble at the second failure in a row, and its end at once', async () => {
    const answers = ['', 'full', '', 'full', 'full', ''];
    const said: string[] = [];
    let tries = 0;
    watch = new DiskWatch({
      folder: () => '/srv/d3',
      says: (sentence) => said.push(sentence),
      everyMs: 1,
      tryIt: () => Promise.resolve(answers[tries++] ?? ''),
    });
    await until('all were tried', () => tries > answers.length);
    expect(said).toEqual(["/srv/d3 can't be written: full", '/srv/d3 can be written again']);
    expect(watch.trouble).toBe('');
  });

  it('tells of a disk that does not answer, and asks it no second time meanwhile', async () => {
    let tries = 0;
    watch = new DiskWatch({
      folder: () => '/srv/d3',
      says: () => undefined,
      everyMs: 5,
      stalledMs: 50,
      tryIt: () => {
        tries += 1;
        return new Promise(() => undefined);
      },
    });
    await until('it is told', () => watch.trouble === 'the disk does not answer');
    expect(tries).toBe(1);
  });

  it('leaves no trace where it writes', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-disk-'));
    const before = statSync(folder, { bigint: true }).mtimeNs;
    let tries = 0;
    watch = new DiskWatch({
      folder: () => {
        tries += 1;
        return folder;
      },
      says: () => undefined,
      everyMs: 5,
    });
    await until('it wrote', () => tries > 3);
    expect(watch.trouble).toBe('');
    expect(readdirSync(folder)).toEqual([]);
    expect(statSync(folder, { bigint: true }).mtimeNs).toBe(before);
    rmSync(folder, { recursive: true });
  });
});
