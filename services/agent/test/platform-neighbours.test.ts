import { canMakeNamespaces, createActor, createWire, eventually } from './platform-namespace.ts';
import type { Actor, Wire } from './platform-namespace.ts';

const DONE = { kind: 'done' };
const WAIT_MS = 25;
/** What a busy test machine may add. */
const SLACK_MS = 150;

const families = [
  { family: 'IPv4', own: '10.9.0.1/24', other: '10.9.0.2/24', virtual: '10.9.0.100/24', bare: '10.9.0.100' },
  { family: 'IPv6', own: 'fd09::1/64', other: 'fd09::2/64', virtual: 'fd09::100/64', bare: 'fd09::100' },
];

(canMakeNamespaces ? describe : describe.skip).each(families)(
  'the neighbours of a Linux host ($family)',
  ({ family, own, other, virtual, bare }) => {
    let wire: Wire;
    let host: Actor;

    beforeAll(async () => {
      wire = createWire();
      wire.inside(wire.here, 'ip', 'addr', 'add', own, 'dev', 'wire0', ...nodad);
      wire.inside(wire.there, 'ip', 'addr', 'add', other, 'dev', 'wire0', ...nodad);
      await eventually('IPv6 is ready on both sides', 5000, () =>
        [wire.here, wire.there].every((host) => {
          const shown = wire.inside(host, 'ip', 'addr', 'show', 'dev', 'wire0', 'scope', 'link');
          return shown.includes('fe80:') && !shown.includes('tentative');
        }),
      );
      host = await createActor(wire.here);
    });
    afterAll(async () => {
      await host.end();
      wire.remove();
    });

    const nodad = family === 'IPv6' ? ['nodad'] : [];
    const probe = (address: string) => host.call('neighbours', 'probe', address, 'wire0', WAIT_MS);
    const linkAddress = (namespace: string): string =>
      wire.inside(namespace, 'cat', '/sys/class/net/wire0/address').trim();
    /** The link-layer address under which the other host knows the virtual one. */
    const knownThere = (): string | undefined =>
      / lladdr (\S+)/.exec(wire.inside(wire.there, 'ip', 'neigh', 'show', 'to', bare, 'nud', 'all'))?.[1];

    it('sees who has an address', async () => {
      wire.inside(wire.there, 'ip', 'addr', 'add', virtual, 'dev', 'wire0', ...nodad);
      const seen = await probe(virtual);
      wire.inside(wire.there, 'ip', 'addr', 'del', virtual, 'dev', 'wire0');
      expect(seen.value).toEqual({ kind: 'somebody', linkAddress: linkAddress(wire.there) });
    });

    it('does not believe an old answer, and says that nobody has it when the time is up', async () => {
      wire.inside(wire.there, 'ip', 'addr', 'add', virtual, 'dev', 'wire0', ...nodad);
      wire.inside(wire.here, 'ping', '-c', '1', '-W', '1', bare);
      wire.inside(wire.there, 'ip', 'addr', 'del', virtual, 'dev', 'wire0');

      const seen = await probe(virtual);
      expect(seen.value).toEqual({ kind: 'nobody' });
      expect(seen.ms).toBeGreaterThanOrEqual(WAIT_MS);
      expect(seen.ms).toBeLessThan(WAIT_MS + SLACK_MS);
    });

    it('is not fooled by its own address', async () => {
      expect((await probe(own)).value).toEqual({ kind: 'nobody' });
    });

    it('does not say nobody when there is no wire', async () => {
      wire.inside(wire.there, 'ip', 'link', 'set', 'wire0', 'down');
      const seen = await probe(virtual);
      wire.inside(wire.there, 'ip', 'link', 'set', 'wire0', 'up');
      if (family === 'IPv6')
        wire.inside(wire.there, 'ip', 'addr', 'replace', other, 'dev', 'wire0', ...nodad);
      expect(seen.value.kind).toBe('unknown');
    });

    it('tells the network that an address is here now', async () => {
      await eventually('the wire is back', 3000, () =>
        wire.inside(wire.here, 'ip', 'link', 'show', 'wire0').includes('LOWER_UP'),
      );
      // The other host knows the address under a link-layer address that is dead.
      wire.inside(
        wire.there,
        'ip',
        'neigh',
        'replace',
        bare,
        'lladdr',
        '02:00:00:00:00:99',
        'dev',
        'wire0',
        'nud',
        'stale',
      );
      expect((await host.call('addresses', 'hold', virtual, 'wire0', 30)).value).toEqual(DONE);

      expect((await host.call('neighbours', 'announce', virtual, 'wire0', 5)).value).toEqual(DONE);
      await eventually('the other host learned it', 200, () => knownThere() === linkAddress(wire.here));
    });

    it('repeats the announcement, for those who missed the first', async () => {
      expect((await host.call('neighbours', 'announce', virtual, 'wire0', 5)).value).toEqual(DONE);
      wire.inside(
        wire.there,
        'ip',
        'neigh',
        'replace',
        bare,
        'lladdr',
        '02:00:00:00:00:99',
        'dev',
        'wire0',
        'nud',
        'stale',
      );
      await eventually('the other host learned it', 2500, () => knownThere() === linkAddress(wire.here));
    });

    it('stops announcing an address that it drops', async () => {
      await host.call('neighbours', 'announce', virtual, 'wire0', 5);
      expect((await host.call('addresses', 'drop', virtual)).value).toEqual(DONE);
      wire.inside(
        wire.there,
        'ip',
        'neigh',
        'replace',
        bare,
        'lladdr',
        '02:00:00:00:00:99',
        'dev',
        'wire0',
        'nud',
        'permanent',
      );
      const refused = await host.call('neighbours', 'announce', virtual, 'wire0', 1);
      expect(refused.value.kind).toBe('failed');
      expect(knownThere()).toBe('02:00:00:00:00:99');
    });

    it('knows its link-layer address', async () => {
      expect((await host.call('neighbours', 'linkAddress', 'wire0')).value).toBe(linkAddress(wire.here));
      expect((await host.call('neighbours', 'linkAddress', 'nowhere0')).value).toBeNull();
    });

    it('answers echo requests to hosts that are there, and only those', async () => {
      const [there, nobody] = [other.split('/')[0] ?? '', family === 'IPv4' ? '10.9.0.77' : 'fd09::77'];
      expect((await host.call('echo', 'ping', there, 500)).value).toBe(true);
      const silent = await host.call('echo', 'ping', nobody, 200);
      expect(silent.value).toBe(false);
      expect(silent.ms).toBeLessThan(600);
    });
  },
);
