/** The command line of a voting member's etcd. Options in, arguments and environment out. */

import { quotaBytes } from './quota.ts';

/** `binary`, `heartbeatMs` and `electionMs` are given by tests only. */
export interface EtcdOptions {
  /** Name or path of the program; default `etcd`, looked up in PATH. */
  readonly binary?: string;
  /** The member's id. */
  readonly name: string;
  readonly dataDir: string;
  /** File that etcd's log goes to; at most 8 MiB of disk with its predecessor. */
  readonly logFile: string;
  /** IP addresses to listen on. An address that does not exist yet stops etcd from starting: prefer 0.0.0.0 or ::. */
  readonly listenAddresses: readonly string[];
  readonly clientPort: number;
  readonly peerPort: number;
  /** `https://ADDRESS:PEERPORT` once per path. etcd sorts them as text and tries them in that order. */
  readonly advertisePeerUrls: readonly string[];
  /** All members of a first start with their peer URLs, this one included; null for every later start. */
  readonly initialCluster: readonly { readonly name: string; readonly peerUrls: readonly string[] }[] | null;
  /** 'new' to found a cluster, 'existing' after this member was added to one. */
  readonly initialState: 'new' | 'existing';
  /** This start only: a cluster of one is made of the data that is here, and its other members are dropped from it. */
  readonly alone?: boolean;
  /** Files in PEM; etcd reads certificate and key again at every handshake, so they can be renewed in place. */
  readonly tls: { readonly caFile: string; readonly certFile: string; readonly keyFile: string };
  readonly heartbeatMs?: number;
  readonly electionMs?: number;
  readonly quotaBytes?: number;
  /** Once aborted, a start is not watched any longer for an early death. */
  readonly hurry?: AbortSignal;
}

/** Everything that etcd is started with. */
export function etcdArguments(options: EtcdOptions): string[] {
  return [...lastingArguments(options), ...firstStartArguments(options)];
}

/** Without what counts only at the first start: what a leftover process must have been started with to be taken over. */
export function lastingArguments(options: EtcdOptions): string[] {
  const { tls } = options;
  const clientUrls = options.listenAddresses.map((address) => url(address, options.clientPort));
  return [
    flag('name', options.name),
    flag('data-dir', options.dataDir),
    flag('listen-client-urls', clientUrls.join()),
    flag('listen-peer-urls', options.listenAddresses.map((address) => url(address, options.peerPort)).join()),
    flag(
      'advertise-client-urls',
      options.advertisePeerUrls.map((peer) => withPort(peer, options.clientPort)).join(),
    ),
    flag('initial-advertise-peer-urls', options.advertisePeerUrls.join()),
    flag('cert-file', tls.certFile),
    flag('key-file', tls.keyFile),
    flag('trusted-ca-file', tls.caFile),
    // Every certificate of the authority that is good for a TLS client: those of servers and witnesses (wire, pki.ts, K2).
    flag('client-cert-auth', 'true'),
    flag('peer-cert-file', tls.certFile),
    flag('peer-key-file', tls.keyFile),
    flag('peer-trusted-ca-file', tls.caFile),
    flag('peer-client-cert-auth', 'true'),
    // A peer's connection may come from an address that moved; its certificate is still checked against the authority.
    flag('experimental-peer-skip-client-san-verification', 'true'),
    flag('heartbeat-interval', options.heartbeatMs ?? 200),
    flag('election-timeout', options.electionMs ?? 1_000),
    // A member that comes back from a partition does not depose a leader that works.
    flag('pre-vote', 'true'),
    flag('strict-reconfig-check', 'true'),
    flag('quota-backend-bytes', options.quotaBytes ?? quotaBytes),
    flag('auto-compaction-mode', 'periodic'),
    // Every renewal stays so long, and the quota counts the most that there ever was. A read by pages takes seconds.
    flag('auto-compaction-retention', '1m'),
    flag('snapshot-count', 10_000),
    // What is committed is in the log, synced. Its database follows later: syncing that too, after each commit and with
    // the lock that the next commit needs, would stand between the two commits of a planned move.
    flag('backend-batch-interval', '5s'),
    flag('max-snapshots', 2),
    flag('max-wals', 2),
    // Saves its goroutines, and its connection to itself.
    flag('enable-grpc-gateway', 'false'),
    flag('logger', 'zap'),
    flag('log-level', 'warn'),
    flag('log-outputs', 'stderr'),
  ];
}

function firstStartArguments(options: EtcdOptions): string[] {
  if (options.alone === true) return [flag('force-new-cluster', 'true')];
  if (options.initialCluster === null) return [];
  const members = options.initialCluster.flatMap((member) =>
    member.peerUrls.map((peer) => `${member.name}=${peer}`),
  );
  return [flag('initial-cluster', members.join()), flag('initial-cluster-state', options.initialState)];
}

/** One processor thread and an eager collector: a quiet etcd of a small key space should not be noticed. */
export function etcdEnvironment(): Record<string, string> {
  // Nothing else is inherited: etcd refuses to start when an ETCD_ variable contradicts a flag.
  return { GOMAXPROCS: '1', GOGC: '50', PATH: process.env['PATH'] ?? '/usr/sbin:/usr/bin' };
}

/** `https://10.0.0.1:2379`; brackets around IPv6. */
function url(address: string, port: number): string {
  return `https://${address.includes(':') ? `[${address}]` : address}:${port}`;
}

function withPort(peerUrl: string, port: number): string {
  return peerUrl.replace(/:\d+$/, `:${port}`);
}

function flag(name: string, value: string | number): string {
  return `--${name}=${value}`;
}
