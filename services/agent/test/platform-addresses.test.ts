import { rmSync, writeFileSync } from 'node:fs';
import { canMakeNamespaces, createActor, createWire, eventually } from './platform-namespace.ts';
import type { Actor, Wire } from './platform-namespace.ts';

const DONE = { kind: 'done' };

// Both families obey the same promises.
const families = [
  {
    family: 'IPv4',
    own: '10.9.0.1/24',
    virtual: '10.9.0.100/24',
    bare: '10.9.0.100',
    elsewhere: '10.8.0.1/24',
    many: Array.from({ length: 1_500 }, (_, i) => `10.7.${String(i >> 8)}.${String(i & 255)}/32`),
  },
  {
    family: 'IPv6',
    own: 'fd09::1/64',
    virtual: 'fd09::100/64',
    bare: 'fd09::100',
    elsewhere: 'fd08::1/64',
    many: Array.from({ length: 1_500 }, (_, i) => `fd07::${(i + 1).toString(16)}/128`),
  },
];

(canMakeNamespaces ? describe : describe.skip).each(families)(
  'the addresses of a Linux host ($family)',
  ({ own, virtual, bare, elsewhere, many }) => {
    let wire: Wire;
    let host: Actor;

    beforeAll(async () => {
      wire = createWire();
      wire.inside(wire.here, 'ip', 'addr', 'add', own, 'dev', 'wire0');
      host = await createActor(wire.here);
    });
    afterAll(async () => {
      await host.end();
      wire.remove();
    });

    const shown = (...words: readonly string[]): string => wire.inside(wire.here, 'ip', ...words);
    const has = async (): Promise<boolean> => (await host.call('addresses', 'has', virtual)).value;

    it('finds the interface by the network', async () => {
      expect((await host.call('addresses', 'interfaceFor', virtual)).value).toBe('wire0');
      expect((await host.call('addresses', 'interfaceFor', elsewhere)).value).toBeNull();
    });

    it('lets the kernel drop a held address by itself when it is no longer renewed', async () => {
      expect((await host.call('addresses', 'hold', virtual, 'wire0', 2)).value).toEqual(DONE);
      expect(await has()).toBe(true);
      const ms = await eventually('the kernel dropped it', 3500, async () => !(await has()));
      expect(ms).toBeGreaterThan(900);
    });

    it('extends the lifetime with every renewal', async () => {
      await host.call('addresses', 'hold', virtual, 'wire0', 2);
      const end = performance.now() + 3200;
      while (performance.now() < end) {
        expect(await has()).toBe(true);
        await host.call('addresses', 'hold', virtual, 'wire0', 2);
        await new Promise((resolve) => setTimeout(resolve, 300));
      }
      expect(await has()).toBe(true);
      expect((await host.call('addresses', 'hold', virtual, 'wire0', 30)).value).toEqual(DONE);
      expect(shown('addr', 'show', 'to', bare)).toMatch(/valid_lft (29|30)sec/);
    });

    it('drops an address, and again without complaint', async () => {
      await host.call('addresses', 'hold', virtual, 'wire0', 30);
      expect((await host.call('addresses', 'drop', virtual)).value).toEqual(DONE);
      expect(await has()).toBe(false);
      expect((await host.call('addresses', 'drop', virtual)).value).toEqual(DONE);
    });

    it('leaves the own address and its route alone when the virtual one comes and goes', async () => {
      await host.call('addresses', 'hold', virtual, 'wire0', 1);
      expect(shown('-6', 'route', 'show', 'dev', 'wire0', 'proto', 'kernel')).not.toContain('expires');
      await eventually('the kernel dropped it', 3500, async () => !(await has()));
      expect((await host.call('addresses', 'has', own)).value).toBe(true);
      expect((await host.call('addresses', 'interfaceFor', virtual)).value).toBe('wire0');
    });

    it('keeps the virtual address when the own one gives way to it, and the own one when it comes back', async () => {
      await host.call('addresses', 'hold', virtual, 'wire0', 30);
      expect((await host.call('addresses', 'drop', own)).value).toEqual(DONE);
      expect(await has()).toBe(true);
      await host.call('addresses', 'hold', virtual, 'wire0', 30);
      expect(shown(own.includes(':') ? '-6' : '-4', 'route', 'show', 'dev', 'wire0')).toMatch(
        /(10\.9\.0\.0\/24|fd09::\/64)/,
      );

      expect((await host.call('addresses', 'keep', own, 'wire0')).value).toEqual(DONE);
      expect((await host.call('addresses', 'drop', virtual)).value).toEqual(DONE);
      expect(shown('addr', 'show', 'to', own.split('/')[0] ?? '')).toContain('valid_lft forever');
      expect(shown(own.includes(':') ? '-6' : '-4', 'route', 'show', 'dev', 'wire0')).toMatch(
        /(10\.9\.0\.0\/24|fd09::\/64)/,
      );
    });

    it('hands the guard a command that drops the address without us', async () => {
      await host.call('addresses', 'hold', virtual, 'wire0', 30);
      const { value: commands } = await host.call('addresses', 'dropCommands', virtual);
      for (const argv of commands) {
        expect(argv[0]).toMatch(/^\//);
        wire.inside(wire.here, ...argv);
      }
      expect(await has()).toBe(false);
    });

    it('says what is wrong, and recovers', async () => {
      const { value: nowhere } = await host.call('addresses', 'hold', virtual, 'nowhere0', 5);
      expect(nowhere).toMatchObject({ kind: 'failed', says: expect.stringContaining('nowhere0') as string });
      expect((await host.call('addresses', 'hold', `${bare}; reboot`, 'wire0', 5)).value.kind).toBe('failed');
      expect((await host.call('addresses', 'hold', virtual, 'wire0\nlink del wire0', 5)).value.kind).toBe(
        'failed',
      );
      expect((await host.call('addresses', 'hold', virtual, 'wire0', 0)).value.kind).toBe('failed');
      expect((await host.call('addresses', 'hold', virtual, 'wire0', 5)).value).toEqual(DONE);
    });

    it('carries out changes in the order of the calls', async () => {
      const hold = () => host.call('addresses', 'hold', virtual, 'wire0', 30);
      const drop = () => host.call('addresses', 'drop', virtual);
      for (const [changes, remains] of [
        [[hold, drop], false],
        [[hold, drop, drop], false],
        [[drop, hold], true],
        [[drop, hold, hold, drop, hold], true],
      ] as const) {
        const outcomes = await Promise.all(changes.map((change) => change()));
        expect(outcomes.map(({ value }) => value)).toEqual(changes.map(() => DONE));
        expect(await has()).toBe(remains);
      }
    });

    it('drops an address from every interface that has it', async () => {
      wire.inside(wire.here, 'ip', 'link', 'add', 'second0', 'type', 'veth');
      wire.inside(wire.here, 'ip', 'addr', 'add', virtual, 'dev', 'second0');
      expect((await host.call('addresses', 'hold', virtual, 'wire0', 30)).value).toEqual(DONE);
      expect((await host.call('addresses', 'drop', virtual)).value).toEqual(DONE);
      expect(shown('addr', 'show', 'to', bare)).toBe('');
      wire.inside(wire.here, 'ip', 'link', 'del', 'second0');
    });

    it('finds one among more addresses than the kernel lists at once', async () => {
      const file = `/tmp/${wire.here}-many`;
      writeFileSync(file, many.map((cidr) => `addr add ${cidr} dev many0\n`).join(''));
      wire.inside(wire.here, 'ip', 'link', 'add', 'many0', 'type', 'veth');
      wire.inside(wire.here, 'ip', '-batch', file);
      rmSync(file);
      for (const cidr of [many[0], many.at(-1)])
        expect((await host.call('addresses', 'has', cidr ?? '')).value).toBe(true);
      expect((await host.call('addresses', 'interfaceFor', virtual)).value).toBe('wire0');
      wire.inside(wire.here, 'ip', 'link', 'del', 'many0');
      expect((await host.call('addresses', 'has', many[0] ?? '')).value).toBe(false);
    });
  },
);
