/**
 * The calls of OpenSSL that a connection of ours needs, of the OpenSSL that Node itself brings and re-exports to addons
 * (nodejs.org/api/addons.html, "Linking to libraries included with Node.js"). Nothing here decides anything.
 *
 * O1. Addresses are bigints; 0n is none. What an address points to is freed by whoever made it, once.
 * O2. The queue of errors belongs to the thread, and Node's own calls use it, too: it is emptied before a call whose answer
 *     is looked into, and after one that failed.
 * O3. Functions that OpenSSL calls are called within a call of ours, on the same thread.
 */
import koffi, { type KoffiFunc } from 'koffi';

export type Address = bigint;
type Bytes = Uint8Array;
type Call<T extends unknown[], R = number> = KoffiFunc<(...args: T) => R>;

const library = koffi.load(null);
const text = (definition: string): never => library.func(definition) as never;

export const openssl = {
  clearErrors: text('void ERR_clear_error()') as Call<[], void>,
  lastError: text('unsigned long ERR_peek_last_error()') as Call<[]>,
  errorText: text('void ERR_error_string_n(unsigned long, void*, size_t)') as Call<
    [error: number, into: Bytes, bytes: number],
    void
  >,
  free: text('void CRYPTO_free(void*, const void*, int)') as Call<[Address, file: null, line: number], void>,

  tlsMethod: text('void* TLS_method()') as Call<[], Address>,
  newContext: text('void* SSL_CTX_new(void*)') as Call<[method: Address], Address>,
  freeContext: text('void SSL_CTX_free(void*)') as Call<[context: Address], void>,
  controlContext: text('long SSL_CTX_ctrl(void*, int, long, void*)') as Call<
    [context: Address, command: number, value: number, pointer: null]
  >,
  setCiphersuites: text('int SSL_CTX_set_ciphersuites(void*, const char*)') as Call<
    [context: Address, names: string]
  >,
  setTickets: text('int SSL_CTX_set_num_tickets(void*, size_t)') as Call<[context: Address, tickets: number]>,
  useCertificate: text('int SSL_CTX_use_certificate(void*, void*)') as Call<
    [context: Address, certificate: Address]
  >,
  useKey: text('int SSL_CTX_use_PrivateKey(void*, void*)') as Call<[context: Address, key: Address]>,
  checkKey: text('int SSL_CTX_check_private_key(void*)') as Call<[context: Address]>,
  setVerify: text('void SSL_CTX_set_verify(void*, int, void*)') as Call<
    [context: Address, mode: number, callback: Address],
    void
  >,
  setProtocolChoice: text('void SSL_CTX_set_alpn_select_cb(void*, void*, void*)') as Call<
    [context: Address, callback: Address, argument: null],
    void
  >,

  newSession: text('void* SSL_new(void*)') as Call<[context: Address], Address>,
  freeSession: text('void SSL_free(void*)') as Call<[session: Address], void>,
  setBio: text('void SSL_set_bio(void*, void*, void*)') as Call<
    [session: Address, read: Address, write: Address],
    void
  >,
  setAccepts: text('void SSL_set_accept_state(void*)') as Call<[session: Address], void>,
  setConnects: text('void SSL_set_connect_state(void*)') as Call<[session: Address], void>,
  /** 0 is success here, unlike everywhere else. */
  setProtocols: text('int SSL_set_alpn_protos(void*, const void*, unsigned int)') as Call<
    [session: Address, names: Bytes, bytes: number]
  >,
  protocol: text('void SSL_get0_alpn_selected(void*, void*, void*)') as Call<
    [session: Address, name: Bytes, bytes: Bytes],
    void
  >,
  shakeHands: text('int SSL_do_handshake(void*)') as Call<[session: Address]>,
  write: text('int SSL_write(void*, const void*, int)') as Call<
    [session: Address, from: Bytes, bytes: number]
  >,
  shutdown: text('int SSL_shutdown(void*)') as Call<[session: Address]>,
  updateKey: text('int SSL_key_update(void*, int)') as Call<[session: Address, kind: number]>,
  problem: text('int SSL_get_error(void*, int)') as Call<[session: Address, answer: number]>,
  exportKey: text(
    'int SSL_export_keying_material(void*, void*, size_t, const void*, size_t, const void*, size_t, int)',
  ) as Call<
    [
      session: Address,
      into: Bytes,
      bytes: number,
      label: Bytes,
      labelBytes: number,
      context: Bytes,
      contextBytes: number,
      useContext: number,
    ]
  >,
  peerCertificate: text('void* SSL_get1_peer_certificate(void*)') as Call<[session: Address], Address | null>,

  memoryOf: text('void* BIO_new_mem_buf(const void*, int)') as Call<[from: Bytes, bytes: number], Address>,
  newBio: text('void* BIO_new(void*)') as Call<[method: Address], Address>,
  sessionMethod: text('void* BIO_f_ssl()') as Call<[], Address>,
  bufferMethod: text('void* BIO_f_buffer()') as Call<[], Address>,
  controlBio: text('long BIO_ctrl(void*, int, long, void*)') as Call<
    [bio: Address, command: number, value: number, pointer: Address]
  >,
  pushBio: text('void* BIO_push(void*, void*)') as Call<[bio: Address, next: Address], Address>,
  readBio: text('int BIO_read(void*, void*, int)') as Call<[bio: Address, into: Bytes, bytes: number]>,
  freeBios: text('void BIO_free_all(void*)') as Call<[bio: Address], void>,
  bioPair: text('int BIO_new_bio_pair(void*, size_t, void*, size_t)') as Call<
    [ours: Bytes, ourBytes: number, theirs: Bytes, theirBytes: number]
  >,
  freeBio: text('int BIO_free(void*)') as Call<[bio: Address]>,
  pendingBio: text('size_t BIO_ctrl_pending(void*)') as Call<[bio: Address]>,
  /** To the bytes that wait, and how many lie there in a row. */
  peekBio: text('int BIO_nread0(void*, void*)') as Call<[bio: Address, into: Bytes]>,
  takeBio: text('int BIO_nread(void*, void*, int)') as Call<[bio: Address, into: Bytes, bytes: number]>,
  /** To the room that is free, and how much of it lies there in a row. */
  roomOfBio: text('int BIO_nwrite0(void*, void*)') as Call<[bio: Address, into: Bytes]>,
  fillBio: text('int BIO_nwrite(void*, void*, int)') as Call<[bio: Address, into: Bytes, bytes: number]>,

  readCertificate: text('void* PEM_read_bio_X509(void*, void*, void*, void*)') as Call<
    [bio: Address, into: null, callback: null, argument: null],
    Address | null
  >,
  freeCertificate: text('void X509_free(void*)') as Call<[certificate: Address], void>,
  encodeCertificate: text('int i2d_X509(void*, void*)') as Call<[certificate: Address, into: Bytes]>,
  readKey: text('void* PEM_read_bio_PrivateKey(void*, void*, void*, void*)') as Call<
    [bio: Address, into: null, callback: null, argument: null],
    Address | null
  >,
  freeKey: text('void EVP_PKEY_free(void*)') as Call<[key: Address], void>,
};

/** `bytes` of memory that OpenSSL has, for as long as it has it (O1). */
export function memoryAt(address: Address, bytes: number): Buffer {
  return Buffer.from(koffi.view(address, bytes));
}

/** What went wrong on this thread last, as OpenSSL says it; the queue is empty afterwards (O2). */
export function opensslSays(): string {
  const words = Buffer.alloc(256);
  const number = openssl.lastError();
  openssl.errorText(number, words, words.length);
  openssl.clearErrors();
  const said = words.toString('latin1', 0, words.indexOf(0));
  // error:0A000438:SSL routines::tlsv1 alert internal error
  return number === 0 ? 'OpenSSL gives no reason' : (said.split(':').at(-1) ?? said);
}

/** Chooses among the names that the other side offers, as SSL_CTX_set_alpn_select_cb wants it; null: none. */
export type ProtocolChoice = (offered: readonly string[]) => string | null;

const alpnTaken = 0;
const alpnFatal = 2;

const address = 'void *';
const verifyType = koffi.pointer(koffi.proto('int', ['int', address]));
const choiceType = koffi.pointer(
  koffi.proto('int', [address, address, address, address, 'unsigned int', address]),
);

/** SSL_VERIFY_PEER asks for a certificate; with this callback what it is worth is judged later, by whoever asked. */
export const judgedLater = (): Address => koffi.register(() => 1, verifyType);

/** Stays for as long as the thread does. */
export function protocolChoice(choose: ProtocolChoice): Address {
  return koffi.register(
    (_: Address, into: Address, bytesInto: Address, from: Address, bytes: number): number => {
      const list = memoryAt(from, bytes);
      const names = namesIn(list);
      const chosen = choose([...names.keys()]);
      const at = chosen === null ? undefined : names.get(chosen);
      if (chosen === null || at === undefined) return alpnFatal;
      memoryAt(into, 8).writeBigUInt64LE(from + BigInt(at));
      memoryAt(bytesInto, 1).writeUInt8(chosen.length);
      return alpnTaken;
    },
    choiceType,
  );
}

/** Of RFC 7301, 3.1: a length before each. Where each begins. */
function namesIn(list: Buffer): Map<string, number> {
  const names = new Map<string, number>();
  for (let at = 0; at < list.length;) {
    const end = at + 1 + list.readUInt8(at);
    names.set(list.toString('latin1', at + 1, end), at + 1);
    at = end;
  }
  return names;
}
