/** Boot time by a single call, for a thread that asks for it with every request: what bootMs() of @holdfast/wire tells. */
import { checked, libc } from './libc.ts';

const CLOCK_BOOTTIME = 7;
const timespec = new ArrayBuffer(16);
const bytes = Buffer.from(timespec);
const words = new Uint32Array(timespec);

/** Milliseconds since the kernel started, suspend included. */
export function bootTimeMs(): number {
  checked(libc.clockGettime(CLOCK_BOOTTIME, bytes), 'clock_gettime', null);
  return ((words[1] ?? 0) * 2 ** 32 + (words[0] ?? 0)) * 1_000 + (words[2] ?? 0) / 1e6;
}
