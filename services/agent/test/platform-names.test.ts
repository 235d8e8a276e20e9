import { createSocket } from 'node:dgram';
import type { Socket } from 'node:dgram';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createHostsFile, withName } from '../src/platform/linux/hosts-file.ts';
import { createNames } from '../src/platform/linux/names.ts';
import { updateScript } from '../src/platform/linux/nsupdate.ts';
import { findProgram } from '../src/platform/linux/programs.ts';
import type { DnsUpdate } from '../src/platform/platform.ts';
import { canMakeNamespaces, createActor, createWire } from './platform-namespace.ts';

const DONE = { kind: 'done' };
const ORIGINAL = '127.0.0.1 localhost\n# a comment\n10.0.0.9 other d3-backup\n';

describe('a hosts file whose disk hangs', () => {
  it('holds nobody up, and gets what was asked last when the disk lets it', async () => {
    const changed: string[] = [];
    let go: () => void = () => undefined;
    const hung = new Promise<void>((resolve) => (go = resolve));
    const hosts = createHostsFile(
      '/nowhere',
      async (_file, name, addresses) => {
        if (changed.length === 0) await hung;
        changed.push(`${name} ${addresses.join()}`);
        return { kind: 'done' };
      },
      30,
    );
    const says = expect.stringContaining("/nowhere can't be changed within 30 ms") as string;
    const asked = [hosts.set('d3', ['1']), hosts.set('d4', ['4']), hosts.set('d4', ['5'])];
    expect(await Promise.all(asked)).toEqual(Array(3).fill({ kind: 'failed', says }));
    expect(changed).toEqual([]);
    go();
    expect(await hosts.set('d3', [])).toEqual({ kind: 'done' });
    expect(changed).toEqual(['d3 1', 'd4 5', 'd3 ']);
  });
});

describe('names in the hosts file', () => {
  let folder: string;
  let file: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'hfplat-'));
    file = join(folder, 'hosts');
    writeFileSync(file, ORIGINAL, { mode: 0o644 });
  });
  afterEach(() => rmSync(folder, { recursive: true }));
  const names = () => createNames(createHostsFile(file), { hostname: null, nsupdate: null });
  const text = (): string => readFileSync(file, 'utf8');

  it('come and go, and leave the rest as it was', async () => {
    const host = names();
    expect(await host.add('d3', ['10.77.0.100/24', 'fd77::100/64'])).toEqual(DONE);
    expect(text()).toBe(`${ORIGINAL}# holdfast: begin\n10.77.0.100 d3\nfd77::100 d3\n# holdfast: end\n`);
    expect(await host.add('d3', ['10.77.0.101/24'])).toEqual(DONE);
    expect(await host.add('d4', ['10.77.0.102/24'])).toEqual(DONE);
    expect(text()).toContain('begin\n10.77.0.101 d3\n10.77.0.102 d4\n# holdfast: end');
    expect(await host.remove('d3')).toEqual(DONE);
    expect(await host.remove('d3')).toEqual(DONE);
    expect(await host.remove('d4')).toEqual(DONE);
    expect(text()).toBe(ORIGINAL);
    expect(statSync(file).mode & 0o777).toBe(0o644);
    expect(readdirSync(folder)).toEqual(['hosts']);
  });

  it('survive being added at the same time', async () => {
    const host = names();
    const all = ['a', 'b', 'c', 'd'];
    await Promise.all(all.map((name) => host.add(name, ['10.77.0.100/24'])));
    for (const name of all) expect(text()).toContain(`10.77.0.100 ${name}\n`);
  });

  it('are put back into a block that somebody cut, without touching what follows', () => {
    expect(withName('a\n# holdfast: begin\nb\n', 'd3', ['10.0.0.1'])).toBe(
      'a\n# holdfast: begin\n10.0.0.1 d3\n# holdfast: end\nb\n',
    );
    expect(withName('a\n# holdfast: begin\nb\n', 'd3', [])).toBe('a\nb\n');
  });

  it('are refused when they are none, and a file that is not there is a clear failure', async () => {
    expect((await names().add('d3\n6.6.6.6 bank', ['10.0.0.1/24'])).kind).toBe('failed');
    expect((await names().add('d3', ['10.0.0.1 bank'])).kind).toBe('failed');
    const gone = createNames(createHostsFile(join(folder, 'gone')), { hostname: null, nsupdate: null });
    expect(await gone.add('d3', ['10.0.0.1/24'])).toMatchObject({
      kind: 'failed',
      says: expect.stringContaining('gone') as string,
    });
  });
});

(canMakeNamespaces ? describe : describe.skip)(
  'the names of a host with a kernel namespace of its own',
  () => {
    it('are written in place where the hosts file is a mount, and the host name is set in the kernel only', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'hfplat-'));
      const wire = createWire();
      const [real, mounted] = [join(folder, 'real'), join(folder, 'mounted')];
      writeFileSync(real, ORIGINAL);
      writeFileSync(mounted, '');
      const script = `mount --bind ${real} ${mounted} && exec "$@"`;
      const host = await createActor(wire.here, {
        through: ['unshare', '--mount', '--uts', 'sh', '-c', script, 'sh'],
        env: { TEST_HOSTS_FILE: mounted },
      });
      try {
        expect((await host.call('names', 'add', 'd3', ['10.77.0.100/24'])).value).toEqual(DONE);
        expect(readFileSync(real, 'utf8')).toContain('10.77.0.100 d3\n');
        const before = readFileSync('/proc/sys/kernel/hostname', 'utf8');
        expect((await host.call('names', 'setHostname', 'd3')).value).toEqual(DONE);
        expect((await host.call('names', 'hostname')).value).toBe('d3');
        expect(readFileSync('/proc/sys/kernel/hostname', 'utf8')).toBe(before);
        expect((await host.call('names', 'setHostname', 'd3; reboot')).value.kind).toBe('failed');
      } finally {
        await host.end();
        wire.remove();
        rmSync(folder, { recursive: true });
      }
    });
  },
);

describe('names in the DNS', () => {
  const nsupdate = findProgram('nsupdate');
  const update: DnsUpdate = {
    server: '127.0.0.1:5353',
    zone: 'example.net',
    name: 'd3',
    addresses: ['10.77.0.100/24', 'fd77::100/64'],
    ttlSeconds: 30,
    keyFile: null,
    timeoutMs: 3000,
  };

  it('are replaced as a whole', () => {
    expect(updateScript(update)).toEqual({
      kind: 'script',
      text: [
        'server 127.0.0.1 5353',
        'zone example.net.',
        'update delete d3.example.net. A',
        'update delete d3.example.net. AAAA',
        'update add d3.example.net. 30 A 10.77.0.100',
        'update add d3.example.net. 30 AAAA fd77::100',
        'send',
        '',
      ].join('\n'),
    });
    expect(updateScript({ ...update, name: 'd3.example.net.', server: '[fd00::53]:53' })).toMatchObject({
      text: expect.stringMatching(/^server fd00::53 53\n[^]*add d3\.example\.net\. 30/) as string,
    });
    expect(updateScript({ ...update, name: 'd3\nquit' }).kind).toBe('failed');
  });

  /** A name server that answers every message with one response code (RFC 1035, 4.1.1). */
  const nameServer = async (code: number): Promise<{ socket: Socket; server: string; seen: Buffer[] }> => {
    const socket = createSocket('udp4');
    const seen: Buffer[] = [];
    socket.on('message', (message, from) => {
      seen.push(message);
      const answer = Buffer.from(message.subarray(0, 12));
      answer.writeUInt16BE((message.readUInt16BE(2) & 0x7800) | 0x8000 | code, 2);
      for (const counter of [4, 6, 8, 10]) answer.writeUInt16BE(0, counter);
      socket.send(answer, from.port, from.address);
    });
    await new Promise<void>((resolve) => socket.bind(0, '127.0.0.1', resolve));
    return { socket, seen, server: `127.0.0.1:${socket.address().port}` };
  };
  const names = createNames(createHostsFile('/nowhere'), { hostname: null, nsupdate });

  (nsupdate === null ? it.skip : it)('are accepted or refused by the server', async () => {
    const kind = await nameServer(0);
    const stern = await nameServer(5);
    try {
      expect(await names.updateDns({ ...update, server: kind.server })).toEqual(DONE);
      expect(kind.seen.some((message) => message.includes(Buffer.from([10, 77, 0, 100])))).toBe(true);
      expect(await names.updateDns({ ...update, server: stern.server })).toMatchObject({
        kind: 'failed',
        says: expect.stringContaining('REFUSED') as string,
      });
    } finally {
      kind.socket.close();
      stern.socket.close();
    }
  });

  (nsupdate === null ? it.skip : it)(
    'are not believed when the signature of the answer is missing',
    async () => {
      const folder = mkdtempSync(join(tmpdir(), 'hfplat-'));
      const keyFile = join(folder, 'key');
      const secret = Buffer.alloc(32, 7).toString('base64');
      writeFileSync(keyFile, `key "holdfast" { algorithm hmac-sha256; secret "${secret}"; };\n`, {
        mode: 0o600,
      });
      const dns = await nameServer(0);
      try {
        expect((await names.updateDns({ ...update, server: dns.server, keyFile })).kind).toBe('failed');
        expect(dns.seen.some((message) => message.includes('hmac-sha256'))).toBe(true);
        expect(await names.updateDns({ ...update, keyFile: join(folder, 'none') })).toMatchObject({
          says: expect.stringContaining('key file') as string,
        });
      } finally {
        dns.socket.close();
        rmSync(folder, { recursive: true });
      }
    },
  );

  (nsupdate === null ? it.skip : it)('fail in time when the server is dead', async () => {
    const deaf = createSocket('udp4');
    await new Promise<void>((resolve) => deaf.bind(0, '127.0.0.1', resolve));
    const began = performance.now();
    const outcome = await names.updateDns({
      ...update,
      server: `127.0.0.1:${deaf.address().port}`,
      timeoutMs: 700,
    });
    deaf.close();
    expect(outcome.kind).toBe('failed');
    expect(performance.now() - began).toBeLessThan(2000);
  });
});
