/** Bytes that a host sent and got, both networks together, from /proc/PID/net/dev of one of its processes (proc(5)). */
import { readFileSync } from 'node:fs';

export interface WireBytes {
  readonly sent: number;
  readonly got: number;
}

export function wireBytes(pid: number): WireBytes {
  let sent = 0;
  let got = 0;
  for (const line of readFileSync(`/proc/${pid}/net/dev`, 'utf8').split('\n')) {
    const [name, figures = ''] = line.trim().split(/:\s*/, 2);
    if (name !== 'eth0' && name !== 'eth1') continue;
    // bytes packets errs drop fifo frame compressed multicast, first received, then sent
    const fields = figures.split(/\s+/).map(Number);
    got += fields[0] ?? 0;
    sent += fields[8] ?? 0;
  }
  return { sent, got };
}

/** Both ways together, since `before`. */
export function wireSince(pid: number, before: WireBytes): number {
  const now = wireBytes(pid);
  return now.sent - before.sent + now.got - before.got;
}
