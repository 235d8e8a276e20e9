/**
 * What all TLS connections of a member have in common: TLS 1.3 and nothing else, its certificate and key, and that the other side
 * is asked for its own.
 *
 * C1. Whose certificate the other side has is judged by `judge` (admission.ts) and nowhere else, so that whoever is refused can be
 *     told why. OpenSSL checks that the other side has the key of it; a listener asks for one, a dialer always gets one.
 * C2. There are no sessions to resume and no tickets for them: each connection proves everything anew.
 * C3. Only a listener has functions that OpenSSL calls, and there is one set of them: they are never given back, and threads that
 *     come and go only dial.
 */
import type { WireCredentials } from '@holdfast/wire/directory';
import { judgedLater, openssl, opensslSays, protocolChoice, type Address } from '../os/openssl.ts';
import { encryptedProtocol, plainProtocol } from './protocols.ts';

const commands = { mode: 33, sessionCache: 44, minVersion: 123 } as const;
const tls13 = 0x0304;
const verifyPeer = 1;
/** SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER: what is written again after it found no room may lie elsewhere. */
const modes = 0x02;

/** Without instructions for AES the larger key is as good as the smaller one is fast with them. */
const ciphersuites = 'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384';

interface Callbacks {
  readonly verify: Address;
  readonly choose: Address;
}

let callbacks: Callbacks | null = null;

function theCallbacks(): Callbacks {
  callbacks ??= {
    verify: judgedLater(),
    choose: protocolChoice(
      (offered) => [encryptedProtocol, plainProtocol].find((name) => offered.includes(name)) ?? null,
    ),
  };
  return callbacks;
}

export class SecureContext {
  #context: Address;

  /** Throws as the constructor does. */
  static accepting(credentials: WireCredentials): SecureContext {
    const context = new SecureContext(credentials);
    const { verify, choose } = theCallbacks();
    openssl.setVerify(context.#context, verifyPeer, verify); // C1
    openssl.setProtocolChoice(context.#context, choose, null);
    return context;
  }

  static dialing(credentials: WireCredentials): SecureContext {
    return new SecureContext(credentials);
  }

  /** Throws when certificate and key are none, or not of each other; a member directory is checked before it is used. */
  private constructor({ certificate, key }: WireCredentials) {
    openssl.clearErrors();
    this.#context = openssl.newContext(openssl.tlsMethod());
    const set = (command: number, value: number): number =>
      openssl.controlContext(this.#context, command, value, null);
    set(commands.mode, modes);
    set(commands.sessionCache, 0); // C2
    const done =
      set(commands.minVersion, tls13) === 1 &&
      openssl.setTickets(this.#context, 0) === 1 && // C2
      openssl.setCiphersuites(this.#context, ciphersuites) === 1 &&
      this.#use(certificate, openssl.readCertificate, openssl.useCertificate, openssl.freeCertificate) &&
      this.#use(key, openssl.readKey, openssl.useKey, openssl.freeKey) &&
      openssl.checkKey(this.#context) === 1;
    if (!done) {
      const says = opensslSays();
      this.free();
      throw new Error(`the credentials of this member are unusable: ${says}`);
    }
  }

  /** A session of it; whoever has it frees it. It may live longer than the context. */
  session(): Address {
    const session = openssl.newSession(this.#context);
    if (session === 0n) throw new Error(`no TLS session: ${opensslSays()}`);
    return session;
  }

  /** Once. */
  free(): void {
    openssl.freeContext(this.#context);
    this.#context = 0n;
  }

  #use(
    pem: string,
    read: typeof openssl.readCertificate,
    use: typeof openssl.useCertificate,
    free: typeof openssl.freeCertificate,
  ): boolean {
    const bytes = Buffer.from(pem);
    const bio = openssl.memoryOf(bytes, bytes.length);
    const parsed = read(bio, null, null, null);
    openssl.freeBio(bio);
    if (parsed === null || parsed === 0n) return false;
    const used = use(this.#context, parsed);
    free(parsed);
    return used === 1;
  }
}
