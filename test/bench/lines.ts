/** Lines of JSON over pipes, between the benchmark and its programs on the hosts. */
import type { Readable } from 'node:stream';

const lineLengthMax = 16 * 1024 * 1024;

/** Calls back with each line. A line without an end is cut off at 16 MiB: it throws. */
export function onLines(stream: Readable, take: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n');
    rest = lines.pop() ?? '';
    if (rest.length > lineLengthMax) throw new Error('a line has no end');
    for (const line of lines) if (line !== '') take(line);
  });
}

/** Milliseconds of CLOCK_MONOTONIC, which all hosts of a lab share (clock_gettime(2)). */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
