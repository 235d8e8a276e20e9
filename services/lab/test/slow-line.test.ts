import { afterEach, describe, expect, test } from '@jest/globals';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { slowLine, type SlowLine, type SlowLineOptions } from '../src/slow-line.ts';

const closing: (() => void | Promise<void>)[] = [];

afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

interface Ends {
  readonly line: SlowLine;
  readonly near: Socket;
  /** What arrived at the far end, with the time. */
  readonly heard: { readonly bytes: number; readonly atMs: number }[];
  readonly answered: { readonly bytes: number; readonly atMs: number }[];
  readonly gone: string[];
}

/** A far end that answers each chunk with one byte, and a near end that is joined to it by the line. */
async function joined(options: Omit<SlowLineOptions, 'to'>): Promise<Ends> {
  const heard: { bytes: number; atMs: number }[] = [];
  const answered: { bytes: number; atMs: number }[] = [];
  const gone: string[] = [];
  const server: Server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk: Buffer) => {
      heard.push({ bytes: chunk.length, atMs: performance.now() });
      socket.write('!');
    });
  });
  await new Promise<void>((ready) => server.listen(0, '127.0.0.1', ready));
  closing.push(() => {
    server.close();
  });
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const line = await slowLine({ ...options, to: { host: '127.0.0.1', port: address.port } });
  closing.push(() => line.close());
  const near = connect(line.port, '127.0.0.1');
  near.on('error', (error) => gone.push(error.message));
  near.on('close', () => gone.push('closed'));
  near.on('data', (chunk: Buffer) => answered.push({ bytes: chunk.length, atMs: performance.now() }));
  await new Promise<void>((ready) => near.once('connect', ready));
  closing.push(() => {
    near.destroy();
  });
  return { line, near, heard, answered, gone };
}

const sum = (list: readonly { readonly bytes: number }[]): number =>
  list.reduce((n, { bytes }) => n + bytes, 0);

async function until(what: string, condition: () => boolean, limitMs = 5_000): Promise<void> {
  const endMs = performance.now() + limitMs;
  while (!condition()) {
    if (performance.now() > endMs) throw new Error(`waited in vain until ${what}`);
    await new Promise((next) => setTimeout(next, 2));
  }
}

describe('a slow line', () => {
  test('delays each way', async () => {
    const { near, answered } = await joined({ delayMs: 40 });
    const fromMs = performance.now();
    near.write('hello');
    await until('the answer came', () => answered.length > 0);
    const roundMs = performance.now() - fromMs;
    expect(roundMs).toBeGreaterThanOrEqual(79);
    expect(roundMs).toBeLessThan(300);
  });

  test('holds the rate', async () => {
    // 8 Mbit are 1,000 bytes for each millisecond.
    const { near, heard } = await joined({ bitsPerSecond: 8_000_000 });
    const fromMs = performance.now();
    near.write(Buffer.alloc(400_000));
    await until('all came', () => sum(heard) === 400_000);
    const tookMs = performance.now() - fromMs;
    expect(tookMs).toBeGreaterThanOrEqual(395);
    expect(tookMs).toBeLessThan(800);
    const half = heard.findIndex((_, i) => sum(heard.slice(0, i + 1)) >= 200_000);
    expect((heard[half]?.atMs ?? 0) - fromMs).toBeGreaterThan(150);
  });

  test('loses nothing in a silence', async () => {
    const { line, near, heard, gone } = await joined({});
    near.write('before');
    await until('it came', () => sum(heard) === 6);
    const fromMs = performance.now();
    line.silence(150);
    near.write('after');
    await until('the rest came', () => sum(heard) === 11);
    expect(performance.now() - fromMs).toBeGreaterThanOrEqual(149);
    expect(gone).toEqual([]);
  });

  test('ends a silence that has no end of its own', async () => {
    const { line, near, heard } = await joined({});
    line.silence(Infinity);
    near.write('hello');
    await until('the line has it', () => near.writableLength === 0);
    expect(heard).toEqual([]);
    line.silence(0);
    await until('it came', () => sum(heard) === 5);
  });

  test('breaks, and takes new connections', async () => {
    const { line, near, gone } = await joined({});
    near.write('hello');
    await until('it is joined', () => line.counters().thereBytes === 5);
    line.cut();
    await until('the end is known', () => gone.includes('closed'));
    const again = connect(line.port, '127.0.0.1');
    closing.push(() => {
      again.destroy();
    });
    again.write('again');
    await until('the second came through', () => line.counters().thereBytes === 10);
  });
});
