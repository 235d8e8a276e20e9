/**
 * The gRPC listener of a member. We accept and judge TLS connections ourselves and hand them to grpc-js
 * (Server.createConnectionInjector): grpc-js can require a client certificate or ignore it, and `Join` comes without.
 *
 * S1. TLS 1.3 only; the handshake asks for a certificate, and certificate.ts judges it in this one place.
 * S2. Each connection has its own injector, whose interceptor puts that verdict on every call of the connection.
 * S3. Connections, streams, messages and waits are bounded; a frozen peer is noticed after clientSilentMs + keepaliveMs.
 * S4. `close` ends within its deadline, whatever the peers do.
 */
import {
  experimental,
  Server,
  ServerCredentials,
  ServerInterceptingCall,
  type ServerInterceptor,
} from '@grpc/grpc-js';
import { X509Certificate } from 'node:crypto';
import { createServer, type Server as TlsServer, type TLSSocket } from 'node:tls';
import type { Presented } from './access.ts';
import { identifyCertificate, parseCertificate, type WireCredentials } from './certificate.ts';
import { errorCode, errorText, failed, ok, type Outcome } from './outcome.ts';
import { PresentedContext, type Fault, type HandlerHost } from './rpc-handler.ts';
import { clientSilentMs, keepaliveMs, messageBytesMax } from './rpc-limits.ts';
import type { Service } from './rpc-services.ts';

export interface ListenError {
  readonly kind: 'port-in-use' | 'no-such-address' | 'not-allowed' | 'failed';
  readonly says: string;
}

export interface ListenOptions {
  readonly credentials: WireCredentials;
  /** Default: every address, IPv4 and IPv6. */
  readonly host?: string;
  /** 0 takes a free one. */
  readonly port: number;
  readonly services: readonly Service[];
  /** Told what a handler threw that was no WireFailure. */
  readonly onFault?: (fault: Fault) => void;
  readonly connectionsMax?: number;
}

export interface RpcServer {
  readonly port: number;
  readonly connections: number;
  /** Finishes running calls, cuts what is left after `deadlineMs`. Streams are told at once. */
  close(deadlineMs?: number): Promise<void>;
}

const streamsMax = 256;
const handshakeMs = 5000;

function listenError(error: unknown, where: string): ListenError {
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return {
        kind: 'port-in-use',
        says: `${where} is in use by another process; stop it, or choose another port`,
      };
    case 'EADDRNOTAVAIL':
      return { kind: 'no-such-address', says: `${where} is not an address of this host` };
    case 'EACCES':
    case 'EPERM':
      return { kind: 'not-allowed', says: `${where} may not be opened by this user` };
    default:
      return { kind: 'failed', says: `can't listen on ${where}: ${errorText(error)}` };
  }
}

/** S1. `wrong-authority` and all other verdicts are kept: the call is answered with the reason, not cut off. */
function judge(socket: TLSSocket, authority: X509Certificate, cluster: string): Presented {
  const presented = socket.getPeerX509Certificate();
  if (presented === undefined) {
    const says = 'this call needs the certificate of a member; join first, or check --dir';
    return { kind: 'problem', problem: { kind: 'missing', says } };
  }
  const judged = identifyCertificate(presented, authority, cluster);
  return judged.kind === 'ok'
    ? { kind: 'member', certificate: judged.value }
    : { kind: 'problem', problem: judged.error };
}

/** S2. */
function presenting(presented: Presented): ServerInterceptor {
  const context = new PresentedContext(presented);
  return (_method, call) =>
    new (class extends ServerInterceptingCall {
      override getAuthContext(): PresentedContext {
        return context;
      }
    })(call);
}

function grpcServer(services: readonly Service[], host: HandlerHost): Server {
  const server = new Server({
    'grpc.max_receive_message_length': messageBytesMax,
    'grpc.max_send_message_length': messageBytesMax,
    'grpc.max_concurrent_streams': streamsMax,
    'grpc.keepalive_time_ms': clientSilentMs,
    'grpc.keepalive_timeout_ms': keepaliveMs,
    'grpc.enable_channelz': 0,
  });
  for (const service of services) server.addService(service.definition, service.bind(host));
  return server;
}

class Listener implements RpcServer {
  readonly #tls: TlsServer;
  readonly #grpc: Server;
  readonly #closing = new AbortController();
  readonly #running = new Set<AbortController>();
  readonly #sockets = new Set<TLSSocket>();
  #closed: Promise<void> | null = null;

  constructor(options: ListenOptions, authority: X509Certificate) {
    const { credentials } = options;
    const onFault = options.onFault ?? ((): void => undefined);
    this.#grpc = grpcServer(options.services, {
      closing: this.#closing.signal,
      running: this.#running,
      onFault,
    });
    this.#tls = createServer({
      // The authority is sent along, so that a joining member can recognise it by its fingerprint.
      cert: `${credentials.certificate.trimEnd()}\n${credentials.authority}`,
      key: credentials.key,
      ca: credentials.authority,
      requestCert: true,
      rejectUnauthorized: false,
      minVersion: 'TLSv1.3',
      ALPNProtocols: ['h2'],
      handshakeTimeout: handshakeMs,
      noDelay: true,
    });
    this.#tls.maxConnections = options.connectionsMax ?? 1024;
    this.#tls.on('secureConnection', (socket) => {
      try {
        this.#accept(socket, judge(socket, authority, credentials.cluster));
      } catch (error) {
        // Whatever a stranger presents must not end the process.
        socket.destroy();
        onFault({ method: 'handshake', error });
      }
    });
    // A failed handshake is the caller's affair; it is told by TLS itself.
    this.#tls.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  get port(): number {
    const address = this.#tls.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  listen(port: number, host: string): Promise<void> {
    return new Promise((fulfil, reject) => {
      this.#tls.once('error', reject);
      this.#tls.listen({ port, host }, () => {
        this.#tls.off('error', reject);
        // Later errors (too many open files) cost a connection, not the process.
        this.#tls.on('error', () => undefined);
        fulfil();
      });
    });
  }

  close(deadlineMs = 2000): Promise<void> {
    return (this.#closed ??= this.#shut(deadlineMs));
  }

  #accept(socket: TLSSocket, presented: Presented): void {
    if (this.#closing.signal.aborted) {
      socket.destroy();
      return;
    }
    const credentials = experimental.createServerCredentialsWithInterceptors(
      ServerCredentials.createInsecure(),
      [presenting(presented)],
    );
    const injector = this.#grpc.createConnectionInjector(credentials);
    this.#sockets.add(socket);
    // A reset by the peer ends in 'close'; without a listener it would end the process.
    socket.on('error', () => socket.destroy());
    socket.once('close', () => {
      this.#sockets.delete(socket);
      injector.destroy();
    });
    injector.injectConnection(socket);
  }

  async #shut(deadlineMs: number): Promise<void> {
    this.#closing.abort();
    for (const call of this.#running) call.abort();
    const stopped = new Promise<void>((done) => {
      this.#tls.close(() => {
        done();
      });
    });
    const late = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, deadlineMs);
    await new Promise<void>((done) => {
      // Streams hear `closing` first and end with a status of their own; then sessions say goodbye.
      setImmediate(() => {
        this.#grpc.tryShutdown(() => {
          done();
        });
        setTimeout(done, deadlineMs).unref();
      });
    });
    for (const socket of this.#sockets) socket.destroy();
    clearTimeout(late);
    await stopped;
    this.#grpc.forceShutdown();
  }
}

/** Starts a listener, or says why it can't. */
export async function listenRpc(options: ListenOptions): Promise<Outcome<RpcServer, ListenError>> {
  const { credentials, port } = options;
  const authority = parseCertificate(credentials.authority);
  if (authority === null) throw new Error('a member directory is checked before it is used');
  const hosts = options.host === undefined ? ['::', '0.0.0.0'] : [options.host];
  let last: unknown = null;
  for (const host of hosts) {
    const listener = new Listener(options, authority);
    try {
      await listener.listen(port, host);
      return ok(listener);
    } catch (error) {
      last = error;
      // A kernel without IPv6 has no '::'.
      if (!['EAFNOSUPPORT', 'EADDRNOTAVAIL'].includes(errorCode(error))) break;
    }
  }
  return failed(listenError(last, `port ${port}${options.host === undefined ? '' : ` of ${options.host}`}`));
}
