/**
 * The port at which sources arrive. One for all mirrors of this member: the hello says which one it is for.
 *
 * P1. Until its hello a connection is a stranger: strangers are few, have one deadline from first to last, and send
 *     little. What they did wrong is counted, and said at most once a second.
 * P2. The first frame of a proven member is a hello that names itself as its certificate does; nothing else is looked at.
 * P3. After close() nothing is accepted and nothing of it is left.
 */

import type { X509Certificate } from 'node:crypto';
import { createServer, type Server, type Socket } from 'node:net';
import { errorCode, errorText, parseCertificate, type Peer } from '@holdfast/wire/directory';
import {
  encodeWelcome,
  judge,
  newTicket,
  sessionKey,
  strangerFrameBytesMax,
  Tickets,
  tlsFirstByte,
  type Welcome,
} from './admission.ts';
import { Assembly } from './assembly.ts';
import { frameBytesMax } from './limits.ts';
import { Line } from './line.ts';
import { admitPlain } from './plain-admission.ts';
import { encryptedProtocol, plainProtocol } from './protocols.ts';
import { SecureContext } from './secure-context.ts';
import { SecureSession } from './secure-session.ts';
import { SecureWire } from './secure-wire.ts';
import { SocketWire, tune } from './socket-wire.ts';
import {
  protocolVersion,
  type Acceptor,
  type Ended,
  type Frame,
  type Hello,
  type Listened,
  type Listener,
  type ListenerCounters,
  type ListenOptions,
  type RefusalCode,
} from './types.ts';
import type { AttachableWire } from './wire.ts';

const strangersDefault = 64;
const connectionsDefault = 1_024;
const helloDefaultMs = 5_000;
const saysEveryMs = 1_000;

type Fault = 'garbage' | 'certificate' | 'silent' | 'full' | 'unknownMirror';

/** Listens; the port is open when the promise is fulfilled. */
export function listen(options: ListenOptions): Promise<Listened> {
  const authority = parseCertificate(options.credentials.authority);
  if (authority === null) throw new Error('a member directory is checked before it is used');
  const port = new Port(options, authority);
  return port.open();
}

class Port implements Listener {
  readonly #options: ListenOptions;
  readonly #authority: X509Certificate;
  readonly #context: SecureContext;
  readonly #server: Server;
  readonly #acceptors = new Map<string, Acceptor>();
  readonly #tickets = new Tickets();
  readonly #sockets = new Set<Socket>();
  readonly #strangers = new Set<Stranger>();
  readonly #lines = new Set<Line>();
  readonly #faults: Record<Fault, number> = {
    garbage: 0,
    certificate: 0,
    silent: 0,
    full: 0,
    unknownMirror: 0,
  };
  #accepted = 0;
  #saidAtMs = -Infinity;
  #unsaid = 0;

  constructor(options: ListenOptions, authority: X509Certificate) {
    this.#options = options;
    this.#authority = authority;
    this.#context = SecureContext.accepting(options.credentials);
    this.#server = createServer({ noDelay: true }, (socket) => {
      this.#arrived(socket);
    });
  }

  open(): Promise<Listened> {
    const { host, port } = this.#options;
    const where = `${host ?? '*'}:${String(port)}`;
    return new Promise((fulfil) => {
      this.#server.once('error', (error) => {
        fulfil(notListening(error, where));
      });
      this.#server.listen({ port, ...(host !== undefined && { host }) }, () => {
        fulfil({ kind: 'listening', listener: this });
      });
    });
  }

  get port(): number {
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : 0;
  }

  register(mirror: string, acceptor: Acceptor): () => void {
    if (this.#acceptors.has(mirror)) throw new Error(`${mirror} has somebody who takes its connections`);
    this.#acceptors.set(mirror, acceptor);
    return () => {
      if (this.#acceptors.get(mirror) === acceptor) this.#acceptors.delete(mirror);
    };
  }

  counters(): ListenerCounters {
    return {
      ...this.#faults,
      accepted: this.#accepted,
      strangers: this.#strangers.size,
      connections: this.#sockets.size,
    };
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((fulfil) => {
      this.#server.close(() => {
        fulfil();
      });
    });
    this.#acceptors.clear();
    for (const stranger of this.#strangers) stranger.stop();
    for (const line of this.#lines) line.close('the mirror process stops', 0);
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#context.free();
  }

  #arrived(socket: Socket): void {
    const { strangersMax = strangersDefault, connectionsMax = connectionsDefault } = this.#options;
    // Stays: what breaks is told by its end.
    socket.on('error', () => undefined);
    // P1.
    if (this.#strangers.size >= strangersMax || this.#sockets.size >= connectionsMax) {
      socket.destroy();
      this.#fault('full', socket, 'too many connections');
      return;
    }
    this.#sockets.add(socket);
    const stranger = new Stranger(socket, this.#options.helloMs ?? helloDefaultMs);
    this.#strangers.add(stranger);
    socket.once('close', () => {
      this.#sockets.delete(socket);
      this.#strangers.delete(stranger);
      stranger.stop();
    });
    stranger.late = () => {
      this.#fault('silent', socket, 'it did not say in time who it is');
    };
    socket.once('data', (chunk: Buffer) => {
      socket.pause();
      socket.unshift(chunk);
      if (chunk[0] === tlsFirstByte) this.#secure(stranger);
      else void this.#plain(stranger);
    });
  }

  #secure(stranger: Stranger): void {
    const wire = new SecureWire(stranger.socket, SecureSession.accepting(this.#context));
    wire.shakeHands(
      () => this.#proved(stranger, wire),
      () => this.#drop(stranger, 'garbage', 'the handshake failed'),
    );
  }

  #proved(stranger: Stranger, wire: SecureWire): void {
    const { session } = wire;
    const say = (welcome: Welcome): void => {
      wire.write([encodeWelcome(welcome)], () => undefined);
    };
    const judged = judge(session.certificate(), this.#authority, this.#options.credentials.cluster);
    const protocol = session.protocol();
    if (judged.kind === 'error') {
      say({ kind: 'refused', says: judged.error.says });
      wire.end();
      this.#fault('certificate', stranger.socket, judged.error.says);
    } else if (protocol === plainProtocol) {
      const ticket = newTicket();
      this.#tickets.issue(ticket, sessionKey(session, ticket), judged.value, performance.now());
      say({ kind: 'ticket', ticket });
      wire.end();
    } else if (protocol === encryptedProtocol) {
      say({ kind: 'admitted' });
      this.#line(stranger, wire, judged.value, true, new Assembly());
    } else {
      this.#drop(stranger, 'garbage', 'it speaks no protocol of ours');
    }
  }

  async #plain(stranger: Stranger): Promise<void> {
    const { socket } = stranger;
    const assembly = new Assembly(strangerFrameBytesMax);
    const peer = await admitPlain(socket, assembly, this.#tickets, stranger.signal);
    if (socket.destroyed) return;
    if (peer === null) {
      this.#drop(stranger, 'garbage', 'it proves nothing');
      return;
    }
    socket.write(encodeWelcome({ kind: 'admitted' }));
    assembly.limit = frameBytesMax;
    this.#line(stranger, new SocketWire(socket), peer, false, assembly);
  }

  #line(stranger: Stranger, wire: AttachableWire, peer: Peer, encrypted: boolean, assembly: Assembly): void {
    tune(stranger.socket);
    const line = new Line(wire, peer, encrypted, this.#options, assembly);
    wire.attach(line);
    this.#lines.add(line);
    stranger.socket.once('close', () => {
      this.#lines.delete(line);
      line.lost({ kind: 'broken', says: 'the connection is gone' });
    });
    line.onEnd((ended) => {
      this.#endedEarly(stranger, ended);
    });
    line.onFrame((frame) => {
      this.#first(stranger, line, frame);
    });
  }

  /** P2. */
  #first(stranger: Stranger, line: Line, frame: Frame): void {
    if (frame.kind === 'beat') return;
    if (frame.kind !== 'hello') {
      this.#drop(stranger, 'garbage', `its first frame is ${frame.kind}`);
      return;
    }
    const acceptor = this.#acceptors.get(frame.mirror);
    const refusal = refusalOf(frame, line, this.#options.credentials.cluster, acceptor);
    stranger.stop();
    this.#strangers.delete(stranger);
    if (refusal !== null || acceptor === undefined) {
      const [code, says] = refusal ?? ['mirror', this.#absent(frame.mirror)];
      line.send({ kind: 'refuse', code, says, epoch: 0n });
      line.close(says);
      this.#fault(code === 'mirror' ? 'unknownMirror' : 'garbage', stranger.socket, says);
      return;
    }
    this.#accepted += 1;
    line.hold();
    line.onEnd(() => undefined);
    line.startBeats();
    acceptor.accept(line, frame);
  }

  #absent(mirror: string): string {
    const why = this.#options.absent?.(mirror) ?? '';
    return `the target takes no copy of ${mirror}${why === '' ? ' now' : `: ${why}`}`;
  }

  #endedEarly(stranger: Stranger, ended: Ended): void {
    if (ended.kind === 'garbage') this.#fault('garbage', stranger.socket, ended.says);
  }

  #drop(stranger: Stranger, fault: Fault, says: string): void {
    this.#fault(fault, stranger.socket, says);
    stranger.stop();
    stranger.socket.destroy();
  }

  #fault(fault: Fault, socket: Socket, says: string): void {
    this.#faults[fault] += 1;
    this.#unsaid += 1;
    const now = performance.now();
    if (now - this.#saidAtMs < saysEveryMs) return;
    const more = this.#unsaid > 1 ? `, and ${String(this.#unsaid - 1)} more` : '';
    this.#saidAtMs = now;
    this.#unsaid = 0;
    this.#options.says?.(`dropped a connection from ${socket.remoteAddress ?? 'somewhere'}: ${says}${more}`);
  }
}

/** Who has not said its hello yet. */
class Stranger {
  readonly socket: Socket;
  late: () => void = () => undefined;
  readonly #stopping = new AbortController();
  readonly #timer: NodeJS.Timeout;

  constructor(socket: Socket, helloMs: number) {
    this.socket = socket;
    this.#timer = setTimeout(() => {
      this.late();
      this.#stopping.abort();
      socket.destroy();
    }, helloMs);
  }

  get signal(): AbortSignal {
    return this.#stopping.signal;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#stopping.abort();
  }
}

function refusalOf(
  hello: Hello,
  line: Line,
  cluster: string,
  acceptor: Acceptor | undefined,
): readonly [RefusalCode, string] | null {
  if (hello.protocol !== protocolVersion) {
    return [
      'protocol',
      `protocol ${String(hello.protocol)} is spoken there, ${String(protocolVersion)} here`,
    ];
  }
  if (hello.cluster !== cluster) return ['cluster', `this is cluster ${cluster}`];
  if (hello.member !== line.peer.id) {
    return ['cluster', `the hello is of ${hello.member}, the certificate of ${line.peer.id}`];
  }
  if (acceptor !== undefined && !line.encrypted && !acceptor.plain)
    return ['protocol', `${hello.mirror} is taken encrypted only`];
  return null;
}

function notListening(error: unknown, where: string): Listened {
  const answer = (reason: Extract<Listened, { kind: 'failed' }>['reason'], says: string): Listened => ({
    kind: 'failed',
    reason,
    says,
  });
  switch (errorCode(error)) {
    case 'EADDRINUSE':
      return answer('port-in-use', `${where} is in use by another process; stop it, or choose another port`);
    case 'EADDRNOTAVAIL':
      return answer('no-such-address', `${where} is not an address of this host`);
    case 'EACCES':
    case 'EPERM':
      return answer('not-allowed', `${where} may not be opened by this user`);
    default:
      return answer('failed', `can't listen on ${where}: ${errorText(error)}`);
  }
}
