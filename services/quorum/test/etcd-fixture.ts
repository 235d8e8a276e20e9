/** A real etcd, or several, on loopback with TLS, for one test file. Everything it starts is ended by `close()`. */

import { execFileSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { EtcdTls } from '../src/etcd/endpoints.ts';
import type { EtcdFailure } from '../src/etcd/failure.ts';
import type { EtcdOptions } from '../src/etcd/flags.ts';
import { endProcess, etcdsOn } from '../src/etcd/process.ts';
import { startEtcd, type EtcdEvents, type RunningEtcd } from '../src/etcd/supervisor.ts';

export interface Fixture {
  readonly dir: string;
  readonly tls: EtcdTls;
  /** Options of a founding member on free ports; override what the story needs. */
  options(name: string, over?: Partial<EtcdOptions>): Promise<EtcdOptions>;
  start(options: EtcdOptions, events?: EtcdEvents): Promise<RunningEtcd>;
  close(): Promise<void>;
}

export function createFixture(): Fixture {
  const dir = mkdtempSync(join(tmpdir(), 'holdfast-etcd-'));
  const files = createCertificates(dir);
  const running: RunningEtcd[] = [];
  const dataDirs = new Set<string>();
  return {
    dir,
    tls: {
      ca: readFileSync(files.caFile),
      cert: readFileSync(files.certFile),
      key: readFileSync(files.keyFile),
    },
    async options(name, over = {}) {
      const [clientPort, peerPort] = await freePorts(2);
      const advertisePeerUrls = [`https://127.0.0.1:${peerPort}`];
      const options: EtcdOptions = {
        name,
        dataDir: join(dir, name),
        logFile: join(dir, `${name}.log`),
        listenAddresses: ['127.0.0.1'],
        clientPort: clientPort ?? 0,
        peerPort: peerPort ?? 0,
        advertisePeerUrls,
        initialCluster: [{ name, peerUrls: advertisePeerUrls }],
        initialState: 'new',
        tls: files,
        ...over,
      };
      dataDirs.add(options.dataDir);
      return options;
    },
    async start(options, events = noEvents) {
      const answer = await startEtcd(options, events);
      if (answer.kind !== 'started') throw new Error(answer.says);
      running.push(answer.etcd);
      return answer.etcd;
    },
    async close() {
      await Promise.all(running.map((etcd) => etcd.stop(2_000)));
      await Promise.all([...dataDirs].map((dataDir) => stopLeftoverEtcd(dataDir, 0)));
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** Ends an etcd that runs on the data directory without a supervisor. */
export async function stopLeftoverEtcd(dataDir: string, deadlineMs: number): Promise<number> {
  const leftovers = etcdsOn(resolve(dataDir), 'etcd');
  await Promise.all(leftovers.map((leftover) => endProcess(leftover.id, deadlineMs)));
  return leftovers.length;
}

const noEvents: EtcdEvents = { died() {}, started() {}, warned() {} };

/** Events of a supervisor as lists. */
export interface RecordedEvents extends EtcdEvents {
  readonly deaths: (EtcdFailure & { readonly restartInMs: number | null })[];
  readonly starts: string[];
  readonly warnings: string[];
}

export function recordEvents(): RecordedEvents {
  const deaths: RecordedEvents['deaths'] = [];
  const [starts, warnings]: [string[], string[]] = [[], []];
  return {
    deaths,
    starts,
    warnings,
    died: (failure, restartInMs) => deaths.push({ ...failure, restartInMs }),
    started: (_pid, how) => starts.push(how),
    warned: (says) => warnings.push(says),
  };
}

export function clientOf(options: EtcdOptions): string {
  return `127.0.0.1:${options.clientPort}`;
}

/** The pid of an etcd that runs. */
export function pidOf(etcd: RunningEtcd): number {
  const pid = etcd.pid();
  if (pid === null) throw new Error('etcd does not run');
  return pid;
}

/** Stops an etcd (SIGSTOP), and is back when it stands: until its first thread took the signal, all others go on. */
export async function freeze(etcd: RunningEtcd): Promise<void> {
  const pid = pidOf(etcd);
  process.kill(pid, 'SIGSTOP');
  await until('etcd stands', () => /^[^)]*\) T/.test(readFileSync(`/proc/${pid}/stat`, 'utf8')));
}

export function thaw(etcd: RunningEtcd): void {
  process.kill(pidOf(etcd), 'SIGCONT');
}

/** Waits until the question has an answer; fails with its name after the limit. */
export async function until<T>(
  what: string,
  ask: () => Promise<T | null | false> | T | null | false,
  withinMs = 10_000,
): Promise<T> {
  const end = performance.now() + withinMs;
  for (;;) {
    const answer = await ask();
    if (answer !== null && answer !== false) return answer;
    if (performance.now() > end) throw new Error(`not within ${withinMs} ms: ${what}`);
    await sleep(30);
  }
}

/** Below the ports that the kernel gives to connections: a test lets go of one and takes it again. */
const portsFrom = 20_000;
const portsTo = 32_000;

/** Ports that nobody listens on now. */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  while (ports.size < count) {
    const port = randomInt(portsFrom, portsTo);
    if (await isFree(port)) ports.add(port);
  }
  return [...ports];
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => server.close(() => resolve(true)));
  });
}

/** One authority and one certificate that every test member shares, by the openssl program. */
function createCertificates(dir: string): EtcdOptions['tls'] {
  const at = (name: string): string => join(dir, name);
  const curve = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  const openssl = (...args: string[]): unknown => execFileSync('openssl', args, { cwd: dir, stdio: 'pipe' });
  writeFileSync(
    at('ext'),
    'subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth,clientAuth\n',
  );
  openssl('req', '-x509', ...curve, '-days', '30', '-keyout', 'ca.key', '-out', 'ca.crt', '-subj', '/CN=ca');
  openssl('req', ...curve, '-keyout', 'member.key', '-out', 'member.csr', '-subj', '/CN=member');
  const sign = ['-CA', 'ca.crt', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '30', '-extfile', 'ext'];
  openssl('x509', '-req', '-in', 'member.csr', ...sign, '-out', 'member.crt');
  return { caFile: at('ca.crt'), certFile: at('member.crt'), keyFile: at('member.key') };
}
