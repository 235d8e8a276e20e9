/**
 * The etcd endpoints of a cluster and which of them the next call goes to. Channels are opened here and nowhere else.
 *
 * E1: a failed call never moves to another endpoint by itself: it ends, and the *next* call goes elsewhere.
 * E2: with `localFirst` the first endpoint is the member's own etcd; after a failure it is used again only when it
 *     has answered a linearizable read, which proves that it can reach a leader.
 * E3: grpc-js retries nothing, and a broken connection is noticed within two keepalives.
 * E4: an endpoint of a member that is known to be silent is passed over while there is another: a call into a host without
 *     power ends only at its deadline, and whoever waits for it may not have so long.
 */

import {
  credentials,
  connectivityState,
  Metadata,
  type ChannelCredentials,
  type ClientOptions,
} from '@grpc/grpc-js';
import { checkServerIdentity } from 'node:tls';
import { etcd } from '@holdfast/proto';

/** PEM texts. The server's certificate must name the endpoint's host, or `serverName` when that is given. */
export interface EtcdTls {
  readonly ca: string | Buffer;
  readonly cert: string | Buffer;
  readonly key: string | Buffer;
  readonly serverName?: string;
}

export interface EtcdAddress {
  /** `host:port` or `https://host:port`; the member's own etcd first when `localFirst`. */
  readonly endpoints: readonly string[];
  readonly tls: EtcdTls | null;
  readonly localFirst: boolean;
  /** Whether the member behind the endpoint of this number is known to be silent. Default: nobody is. */
  readonly isSilent?: (index: number) => boolean;
}

/** One endpoint and its clients, all on one connection. */
export interface Endpoint {
  readonly index: number;
  /** `host:port`, as people know it. */
  readonly name: string;
  readonly kv: etcd.KVClient;
  readonly watch: etcd.WatchClient;
  readonly cluster: etcd.ClusterClient;
  readonly maintenance: etcd.MaintenanceClient;
}

export interface Endpoints {
  current(): Endpoint;
  /** A call to this endpoint failed because of the endpoint: later calls go to the next one. */
  failed(endpoint: Endpoint): void;
  close(): void;
}

/** A connection that nothing was asked over for this long is closed, or it would be kept alive for nothing. */
const unusedMs = 30_000;
const messageBytesMax = 64 * 1024 * 1024;
const probeMs = 1_000;
const probeMsMax = 30_000;

export function createEndpoints(address: EtcdAddress): Endpoints {
  const names = address.endpoints.map(bareName);
  if (names.length === 0) throw new Error('etcd: no endpoint was given');
  const open = names.map((name, index) => openEndpoint(name, index, address.tls));
  let index = 0;
  let probeAfterMs = probeMs;
  let returnedAtMs = -Infinity;
  let probe: NodeJS.Timeout | null = null;
  let closed = false;

  const at = (i: number): Endpoint => {
    const endpoint = open[i];
    if (endpoint === undefined) throw new Error(`etcd: endpoint ${i} of ${open.length} does not exist`);
    return endpoint;
  };

  /** E4. */
  const isSilent = (i: number): boolean => address.isSilent?.(i) === true;
  const after = (i: number): number => {
    const others = open.slice(1).map((_, step) => (i + 1 + step) % open.length);
    return others.find((other) => !isSilent(other)) ?? others[0] ?? i;
  };

  const armProbe = (): void => {
    if (closed || probe !== null || index === 0 || !address.localFirst) return;
    probe = setTimeout(() => {
      probe = null;
      probeLocal();
    }, probeAfterMs);
    probe.unref();
  };

  const probeLocal = (): void => {
    if (closed || index === 0) return;
    const local = renewIfStuck(0);
    const request = etcd.RangeRequest.create({ key: Buffer.from([0]), limit: 1n, keysOnly: true });
    local.kv.range(request, new Metadata(), { deadline: Date.now() + probeMs }, (error) => {
      if (closed) return;
      // E2
      if (error === null) {
        index = 0;
        returnedAtMs = performance.now();
      } else armProbe();
    });
  };

  /** A connection attempt into a black hole backs off in the kernel for up to a minute; a new one starts at once. */
  const renewIfStuck = (i: number): Endpoint => {
    const old = at(i);
    if (old.kv.getChannel().getConnectivityState(false) !== connectivityState.CONNECTING) return old;
    const fresh = openEndpoint(old.name, i, address.tls);
    open[i] = fresh;
    closeEndpoint(old);
    return fresh;
  };

  return {
    current() {
      if (isSilent(index) && !isSilent(after(index))) {
        index = after(index);
        armProbe();
      }
      return at(index);
    },
    failed(endpoint) {
      // Calls that were in flight together fail together: only the first of them moves on.
      if (closed || endpoint.index !== index || endpoint !== at(index)) return;
      if (index === 0) {
        // A local etcd that comes and goes is tried less and less often.
        const flapping = performance.now() - returnedAtMs < 10_000;
        probeAfterMs = flapping ? Math.min(probeAfterMs * 2, probeMsMax) : probeMs;
      }
      renewIfStuck(index);
      index = after(index);
      armProbe();
    },
    close() {
      closed = true;
      if (probe !== null) clearTimeout(probe);
      for (const endpoint of open) closeEndpoint(endpoint);
    },
  };
}

/** `https://10.0.0.1:2379` and `10.0.0.1:2379` are the same endpoint. */
export function bareName(endpoint: string): string {
  return endpoint.replace(/^https?:\/\//, '').replace(/\/+$/, '');
}

function openEndpoint(name: string, index: number, tls: EtcdTls | null): Endpoint {
  const options: Partial<ClientOptions> = {
    'grpc.enable_retries': 0,
    'grpc.keepalive_time_ms': keepaliveMs(tls),
    'grpc.keepalive_timeout_ms': 1_000,
    'grpc.client_idle_timeout_ms': unusedMs,
    'grpc.initial_reconnect_backoff_ms': 50,
    'grpc.min_reconnect_backoff_ms': 50,
    'grpc.max_reconnect_backoff_ms': 500,
    'grpc.use_local_subchannel_pool': 1,
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.enable_http_proxy': 0,
    'grpc.service_config_disable_resolution': 1,
    // Only the name sent in the handshake: an IP address is not allowed there. The certificate is checked below.
    ...(tls === null ? {} : { 'grpc.ssl_target_name_override': tls.serverName ?? 'localhost' }),
  };
  const kv = new etcd.KVClient(name, credentialsFor(name, tls), options);
  const shared = { ...options, channelOverride: kv.getChannel() };
  const insecure = credentials.createInsecure();
  return {
    index,
    name,
    kv,
    watch: new etcd.WatchClient(name, insecure, shared),
    cluster: new etcd.ClusterClient(name, insecure, shared),
    maintenance: new etcd.MaintenanceClient(name, insecure, shared),
  };
}

function closeEndpoint(endpoint: Endpoint): void {
  endpoint.kv.close();
}

/** Without TLS etcd hangs up on clients that ping more often than every 5 s; with TLS it does not count pings. */
function keepaliveMs(tls: EtcdTls | null): number {
  return tls === null ? 6_000 : 2_000;
}

function credentialsFor(name: string, tls: EtcdTls | null): ChannelCredentials {
  if (tls === null) return credentials.createInsecure();
  const host = tls.serverName ?? hostOf(name);
  return credentials.createSsl(Buffer.from(tls.ca), Buffer.from(tls.key), Buffer.from(tls.cert), {
    checkServerIdentity: (_asked, certificate) => checkServerIdentity(host, certificate),
  });
}

function hostOf(name: string): string {
  return name.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1');
}
