/**
 * A program on a host between source and target: the slow line of the lab, told what to be by lines of JSON on its input.
 * Each line is answered by one with the line's counters. It ends with its input.
 */
import { createInterface } from 'node:readline';
import { slowLine, type SlowLine } from '@holdfast/lab';

export interface LineOrder {
  readonly delayMs?: number;
  /** Null: as fast as it goes. */
  readonly bitsPerSecond?: number | null;
  /** Nothing passes for so long. */
  readonly silenceMs?: number;
  /** Breaks every connection. */
  readonly cut?: boolean;
}

export type LineCounters = ReturnType<SlowLine['counters']>;

function obey(line: SlowLine, order: LineOrder): void {
  if (order.delayMs !== undefined) line.setDelay(order.delayMs);
  if (order.bitsPerSecond !== undefined) line.setRate(order.bitsPerSecond);
  if (order.silenceMs !== undefined) line.silence(order.silenceMs);
  if (order.cut === true) line.cut();
}

const [host = '', port = ''] = process.argv.slice(2);
const line = await slowLine({ host: '0.0.0.0', port: Number(port), to: { host, port: Number(port) } });
const tell = (): void => void process.stdout.write(`${JSON.stringify(line.counters())}\n`);
tell();
createInterface({ input: process.stdin })
  .on('line', (text) => {
    obey(line, JSON.parse(text) as LineOrder);
    tell();
  })
  .on('close', () => process.exit(0));
