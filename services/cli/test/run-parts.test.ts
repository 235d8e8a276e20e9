import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterCrash, healthyMs, noCrashes } from '../src/run/backoff.ts';
import { parseChildMessage } from '../src/run/lifeline.ts';
import { LogFile } from '../src/run/log-file.ts';
import {
  endLeftover,
  identify,
  isAlive,
  readPidFile,
  removePidFile,
  signalProcess,
  writePidFile,
} from '../src/run/pid-file.ts';
import { TextLines } from '../src/run/text-lines.ts';

let dir = '';
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'holdfast-run-parts-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

describe('the wait before another start', () => {
  it('is none, then doubles up to 5 s, and starts afresh after a long life', () => {
    let backoff = noCrashes;
    const delays: number[] = [];
    for (let crash = 0; crash < 8; crash += 1) {
      const next = afterCrash(backoff, 100);
      backoff = next.backoff;
      delays.push(next.delayMs);
    }
    expect(delays).toEqual([0, 250, 500, 1_000, 2_000, 4_000, 5_000, 5_000]);
    expect(afterCrash(backoff, healthyMs)).toEqual({ backoff: { crashes: 1 }, delayMs: 0 });
  });
});

describe('what a child says on its lifeline', () => {
  it.each([
    ['{"type":"ready"}', { kind: 'ready' }],
    ['{"type":"fatal","says":"no"}', { kind: 'fatal', says: 'no' }],
    ['{"type":"fatal"}', { kind: 'unknown' }],
    ['{"type":"other"}', { kind: 'unknown' }],
    ['null', { kind: 'unknown' }],
    ['{', { kind: 'unknown' }],
  ])('%s', (line, message) => expect(parseChildMessage(line)).toEqual(message));
});

describe('lines of text', () => {
  it('survive being cut anywhere, and long ones come in pieces', () => {
    const lines = new TextLines(5);
    const got = [...Buffer.from('ä\nb\n\nabcdefgh\nrest')].flatMap((byte) => lines.push(Buffer.from([byte])));
    expect([...got, ...lines.end()]).toEqual(['ä', 'b', '', 'abcde', 'f', 'gh', 'rest']);
    expect(lines.end()).toEqual([]);
  });
});

describe('a log', () => {
  it('keeps one older file and no more than its size', async () => {
    const path = join(dir, 'agent.log');
    const log = new LogFile(path, 100);
    for (let line = 0; line < 10; line += 1) {
      log.write(`line ${line} ${'x'.repeat(40)}`);
      await log.flush();
    }
    expect(readFileSync(path, 'utf8')).toContain('line 9');
    expect(readFileSync(`${path}.1`, 'utf8')).toContain('line 7');
    expect(readFileSync(path, 'utf8').length + readFileSync(`${path}.1`, 'utf8').length).toBeLessThan(400);
  });

  it('goes on after a disk failure and says what is missing', async () => {
    const log = new LogFile(join(dir, 'mounted-later', 'agent.log'));
    log.write('lost');
    await log.flush();
    mkdirSync(join(dir, 'mounted-later'));
    log.write('kept');
    await log.flush();
    expect(readFileSync(log.path, 'utf8')).toMatch(/^\(1 lines were lost\)\n\S+Z kept\n$/);
  });
});

describe('a pid file', () => {
  it('holds the number alone, and knows its process from a later one of the same number', () => {
    writePidFile(dir, 'agent', process.pid);
    expect(readFileSync(join(dir, 'agent.pid'), 'utf8')).toBe(`${process.pid}\n`);
    const identity = readPidFile(dir, 'agent');
    expect(identity).toEqual(identify(process.pid));
    expect(identity !== null && isAlive(identity)).toBe(true);
    writeFileSync(join(dir, 'agent.start'), 'another-boot:1\n');
    const stale = readPidFile(dir, 'agent');
    expect(stale !== null && isAlive(stale)).toBe(false);
    expect(stale !== null && signalProcess(stale, 'SIGKILL')).toBe(false);
  });

  it('that cannot be written is a problem to tell, no crash', () => {
    expect(writePidFile(join(dir, 'gone'), 'agent', process.pid)).toContain(
      "can't write the pid file of agent",
    );
    expect(removePidFile(join(dir, 'gone'), 'agent')).toBeNull();
  });

  it('that is missing or spoiled names nobody', async () => {
    expect(readPidFile(dir, 'agent')).toBeNull();
    writeFileSync(join(dir, 'agent.pid'), 'x\n');
    writeFileSync(join(dir, 'agent.start'), '\n');
    expect(readPidFile(dir, 'agent')).toBeNull();
    expect(await endLeftover(dir, 'agent', 0)).toBe('none');
  });

  it('lets a leftover end by itself, or kills it', async () => {
    const stubborn = spawn('sleep', ['100']);
    writePidFile(dir, 'agent', stubborn.pid ?? 0);
    expect(await endLeftover(dir, 'agent', 50)).toBe('killed');
    const brief = spawn('sleep', ['0.1']);
    writePidFile(dir, 'agent', brief.pid ?? 0);
    expect(await endLeftover(dir, 'agent', 5_000)).toBe('ended');
  });
});
