/**
 * Makes etcd leave a dead path at once. etcd notices a peer connection that went silent only after 5 s and then dials
 * the same address once more for 2 s before it tries the peer's next one: about 7 s without this member (measured).
 * Whoever knows from heartbeats that a path is dead ends its connections here; etcd is on the next path 1.5 s later.
 *
 * Linux, ss(8) with -K: needs CAP_NET_ADMIN and a kernel with INET_DIAG_DESTROY; without it nothing is ended.
 */

import { execFile } from 'node:child_process';
import { isIP } from 'node:net';

export type DropAnswer =
  | { readonly kind: 'dropped'; readonly connections: number }
  | { readonly kind: 'failed'; readonly says: string };

/**
 * Ends the TCP connections of this host from and to the peer's address on the etcd peer port. Harmless when repeated.
 * @param address IP address of the peer on the dead path
 */
export function dropPeerConnections(
  address: string,
  peerPort: number,
  timeoutMs: number,
): Promise<DropAnswer> {
  if (isIP(address) === 0) throw new Error(`etcd: ${address} is not an IP address`);
  const ports = ['(', 'sport', '=', `:${peerPort}`, 'or', 'dport', '=', `:${peerPort}`, ')'];
  // A socket that listens on :: sees an IPv4 peer as a mapped address.
  const forms = isIP(address) === 4 ? [address, `[::ffff:${address}]`] : [`[${address}]`];
  const peers = forms.flatMap((form, i) => (i === 0 ? ['dst', form] : ['or', 'dst', form]));
  const args = ['-K', '-H', '-n', '-t', 'state', 'connected', '(', ...peers, ')', 'and', ...ports];
  return new Promise((resolve) => {
    execFile('ss', args, { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, stdout, stderr) => {
      if (error !== null) resolve({ kind: 'failed', says: `ss -K failed: ${stderr || error.message}` });
      else resolve({ kind: 'dropped', connections: stdout.split('\n').filter((line) => line !== '').length });
    });
  });
}
