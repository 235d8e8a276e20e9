/**
 * The Linux platform in a process of its own, so that it can live in a network namespace. Reads calls as JSON lines, writes
 * their values and how long they took.
 */
import { createInterface } from 'node:readline';
import { createLinuxPlatform } from '../src/platform/linux/index.ts';

interface Call {
  readonly id: number;
  readonly port: string;
  readonly method: string;
  readonly args: readonly unknown[];
}

type Ports = Readonly<Record<string, Readonly<Record<string, (...args: readonly unknown[]) => unknown>>>>;

const hostsFile = process.env['TEST_HOSTS_FILE'];
const ports = createLinuxPlatform(hostsFile === undefined ? {} : { hostsFile }) as unknown as Ports;

async function answer(call: Call): Promise<void> {
  const began = performance.now();
  const value = await ports[call.port]?.[call.method]?.(...call.args);
  const ms = performance.now() - began;
  process.stdout.write(`${JSON.stringify({ id: call.id, value, ms })}\n`);
}

const calls = createInterface({ input: process.stdin });
calls.on('line', (line) => void answer(JSON.parse(line) as Call));
// When the test is gone, so are we.
calls.on('close', () => process.exit(0));
process.stdout.write(`${JSON.stringify({ id: 0, value: 'ready', ms: 0 })}\n`);
