/**
 * Makes etcd leave a dead path at once. etcd notices a peer connection that went silent only after 5 s and then dials
 * the same address once more for 2 s before it tries the peer's next one: about 7 s without this member (measured).
 * Whoever knows from heartbeats that a path is dead ends its connections here; etcd is on the next path 1.5 s later. The same
 * for connections from an address that this host has no more: etcd sends from another one at once, since its peer is there.
 *
 * Linux, ss(8) with -K: needs CAP_NET_ADMIN and a kernel with INET_DIAG_DESTROY; without it nothing is ended.
 */

import { execFile } from 'node:child_process';
import { isIP } from 'node:net';

export type DropAnswer =
  | { readonly kind: 'dropped'; readonly connections: number }
  | { readonly kind: 'failed'; readonly says: string };

/** `far`: the address is the peer's. `near`: it is, or was, this host's. */
type End = 'near' | 'far';

/**
 * Ends the TCP connections of this host on the etcd peer port, whoever opened them, that have the address at that end.
 * Harmless when repeated.
 */
export function dropPeerConnections(
  end: End,
  address: string,
  peerPort: number,
  timeoutMs: number,
): Promise<DropAnswer> {
  if (isIP(address) === 0) throw new Error(`etcd: ${address} is not an IP address`);
  const ports = ['(', 'sport', '=', `:${peerPort}`, 'or', 'dport', '=', `:${peerPort}`, ')'];
  // A socket that listens on :: sees IPv4 addresses as mapped ones.
  const forms = isIP(address) === 4 ? [address, `[::ffff:${address}]`] : [`[${address}]`];
  const which = end === 'far' ? 'dst' : 'src';
  const ends = forms.flatMap((form, i) => (i === 0 ? [which, form] : ['or', which, form]));
  const args = ['-K', '-H', '-n', '-t', 'state', 'connected', '(', ...ends, ')', 'and', ...ports];
  return new Promise((resolve) => {
    execFile('ss', args, { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error !== null) resolve({ kind: 'failed', says: `ss -K failed: ${stderr || error.message}` });
      else resolve({ kind: 'dropped', connections: stdout.split('\n').filter((line) => line !== '').length });
    });
  });
}
