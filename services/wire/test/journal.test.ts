import { chmod, mkdir, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { bootMs } from '../src/boot-clock.ts';
import { openJournal } from '../src/journal.ts';
import { createLog } from '../src/log.ts';
import { inFolder } from './cluster.ts';

async function entries(file: string): Promise<readonly Record<string, unknown>[]> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('a journal', () => {
  it('has every entry in order, with both times', async () => {
    await inFolder(async (directory) => {
      const journal = openJournal({ directory, process: 'agent' });
      const beforeMs = bootMs();
      for (let n = 0; n < 1000; n += 1) journal.write('renewed', { epoch: BigInt(n) });
      await journal.close();
      const seen = await entries(join(directory, 'journal', 'agent.jsonl'));
      expect(seen.map((entry) => entry['epoch'])).toEqual(Array.from({ length: 1000 }, (_, n) => String(n)));
      expect(seen[0]).toMatchObject({ n: 1, kind: 'renewed' });
      expect(Number(seen[0]?.['bootMs'])).toBeGreaterThanOrEqual(beforeMs);
      expect(Math.abs(Number(seen[0]?.['wallMs']) - Date.now())).toBeLessThan(5000);
    });
  });

  it('goes on where an earlier process stopped', async () => {
    await inFolder(async (directory) => {
      for (const life of [1, 2]) {
        const journal = openJournal({ directory, process: 'agent' });
        journal.write('started', { life });
        await journal.close();
      }
      const seen = await entries(join(directory, 'journal', 'agent.jsonl'));
      expect(seen.map((entry) => entry['life'])).toEqual([1, 2]);
    });
  });

  it('stays within its size, and loses the oldest first', async () => {
    await inFolder(async (directory) => {
      const journal = openJournal({ directory, process: 'agent', bytesMax: 2000, filesMax: 3 });
      for (let n = 0; n < 200; n += 1) {
        journal.write('entry', { n });
        await journal.flush();
      }
      await journal.close();
      const folder = join(directory, 'journal');
      const files = (await readdir(folder)).sort();
      expect(files).toEqual(['agent.jsonl', 'agent.jsonl.1', 'agent.jsonl.2']);
      const kept: unknown[] = [];
      for (const file of files.reverse()) {
        expect((await stat(join(folder, file))).size).toBeLessThanOrEqual(2000);
        for (const entry of await entries(join(folder, file))) kept.push(entry['n']);
      }
      const first = Number(kept[0]);
      expect(kept).toEqual(Array.from({ length: 200 - first }, (_, n) => first + n));
    });
  });

  it('reports a failing disk once, and says afterwards what was lost', async () => {
    await inFolder(async (directory) => {
      const failures: unknown[] = [];
      await writeFile(join(directory, 'journal'), 'a file where the folder belongs');
      const journal = openJournal({
        directory,
        process: 'agent',
        queueMax: 3,
        onFailure: (why) => failures.push(why),
      });
      for (let n = 1; n <= 5; n += 1) {
        journal.write('entry', { at: n });
        await journal.flush();
      }
      expect(failures).toHaveLength(1);
      await rm(join(directory, 'journal'));
      journal.write('entry', { at: 6 });
      await journal.close();
      const seen = await entries(join(directory, 'journal', 'agent.jsonl'));
      expect(seen.map((entry) => entry['at'] ?? `lost ${String(entry['entries'])}`)).toEqual([
        'lost 3',
        4,
        5,
        6,
      ]);
    });
  });

  it('takes anything', async () => {
    await inFolder(async (directory) => {
      await mkdir(join(directory, 'journal'));
      await chmod(join(directory, 'journal'), 0o700);
      const circle: Record<string, unknown> = {};
      circle['self'] = circle;
      const journal = openJournal({ directory, process: 'agent' });
      journal.write('odd', { circle });
      journal.write('failed', { why: new Error('no route') });
      await journal.close();
      const seen = await entries(join(directory, 'journal', 'agent.jsonl'));
      expect(seen[0]?.['unprintable']).toContain('circular');
      expect(seen[1]).toMatchObject({ kind: 'failed', why: 'no route' });
    });
  });
});

describe('the log', () => {
  const written = (level: string, terminal: boolean): string => {
    const stream = new PassThrough();
    const log = createLog({ process: 'agent', member: 'a', level, terminal, stream });
    log.info('renewed', 'the renewal was committed', { epoch: 7n });
    log.debug('detail', 'for nobody');
    return String(stream.read() ?? '');
  };

  it('is JSON lines for machines', () => {
    const lines = written('info', false).trimEnd().split('\n');
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({
      level: 'info',
      process: 'agent',
      member: 'a',
      kind: 'renewed',
      reason: 'the renewal was committed',
      epoch: '7',
    });
  });

  it('is words on a terminal, and silent below its level', () => {
    expect(written('debug', true)).toMatch(
      /^\d\d:\d\d:\d\d\.\d{3} INFO {2}a\/agent renewed: the renewal was committed {"epoch":"7"}\n.* DEBUG a\/agent detail: for nobody\n$/,
    );
    expect(written('warn', true)).toBe('');
  });
});

describe('the boot clock', () => {
  it('only goes forward', () => {
    let last = bootMs();
    for (let n = 0; n < 1000; n += 1) {
      const now = bootMs();
      expect(now).toBeGreaterThanOrEqual(last);
      last = now;
    }
  });
});
