import { labStatus, type Lab } from '../src/index.ts';
import { echoesReceived, hears, until, withLab } from './fresh.ts';

describe('the network of a lab', () => {
  it('joins all hosts on both networks and both families, each with a name of its own', async () => {
    await withLab({}, async (lab) => {
      for (const from of lab.hosts) {
        const { stdout } = await from.exec(['hostname']);
        expect(stdout.trim()).toBe(from.name);
        for (const to of lab.hosts)
          for (const address of [to.addresses.service, to.addresses.service6, to.addresses.private, to.name])
            expect([from.name, address, await hears(from, address)]).toEqual([from.name, address, true]);
      }
    });
  });

  it('takes a third server when asked', async () => {
    await withLab({ hosts: ['a', 'b', 'c'] }, async (lab) => {
      expect(lab.host('c').addresses.service).toBe('10.77.0.15');
      expect(await hears(lab.host('a'), 'c')).toBe(true);
      expect(() => lab.host('w')).toThrow(/its hosts are a, b, c/);
    });
  });

  it('keeps two labs apart', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (one) => {
      await withLab({ hosts: ['a', 'b'] }, async (other) => {
        await one.host('b').powerOff();
        expect(await hears(one.host('a'), 'b')).toBe(false);
        expect(await hears(other.host('a'), 'b')).toBe(true);
      });
    });
  });

  it('loses the carrier with a pulled cable, on that network only, and gets it back', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      const a = lab.host('a');
      await a.pullCable('service');
      expect(await hears(lab.host('b'), '10.77.0.11')).toBe(false);
      expect(await hears(lab.host('b'), '10.78.0.11')).toBe(true);
      expect((await a.exec(['cat', '/sys/class/net/eth0/carrier'])).stdout.trim()).not.toBe('1');
      await a.plugCable('service');
      // b may still wait for an answer to its last question who has this address.
      await until('the cable works again', () => hears(lab.host('b'), '10.77.0.11'));
    });
  });

  it('loses frames one way in a one-way partition, and no other frames', async () => {
    await withLab({ hosts: ['a', 'b', 'w'] }, async (lab) => {
      const [a, b, w] = [lab.host('a'), lab.host('b'), lab.host('w')];
      // Both know each other's MAC before, as hosts that have talked do.
      expect(await hears(a, '10.77.0.12')).toBe(true);
      expect(await hears(b, '10.77.0.11')).toBe(true);

      await lab.partition('a', 'b', { direction: 'to' });
      const before = { a: await echoesReceived(a), b: await echoesReceived(b) };
      expect(await hears(a, '10.77.0.12')).toBe(false);
      expect(await hears(b, '10.77.0.11')).toBe(false);
      expect(await echoesReceived(b)).toBe(before.b);
      expect(await echoesReceived(a)).toBe(before.a + 1);
      expect(await hears(a, '10.77.0.13')).toBe(true);
      expect(await hears(w, '10.77.0.12')).toBe(true);

      await lab.heal();
      expect(await hears(a, '10.77.0.12')).toBe(true);
    });
  });

  it('keeps a partition of one network through a power cut, for addresses that moved too', async () => {
    await withLab({ hosts: ['a', 'b', 'w'] }, async (lab) => {
      const [a, b] = [lab.host('a'), lab.host('b')];
      await lab.partition('a', 'b', { networks: ['service'] });
      for (const host of [a, b]) {
        await host.powerOff();
        await host.powerOn();
      }
      await b.exec(['ip', 'addr', 'add', '10.77.0.100/24', 'dev', 'eth0']);
      expect(await hears(lab.host('w'), '10.77.0.100')).toBe(true);
      expect(await hears(a, '10.77.0.100')).toBe(false);
      expect(await hears(a, '10.77.0.12')).toBe(false);
      expect(await hears(a, 'fd77::12')).toBe(false);
      expect(await hears(a, '10.78.0.12')).toBe(true);
      const status = await labStatus(lab.dir);
      expect(status.kind === 'up' && status.partitions).toEqual([
        { from: 'a', to: 'b', network: 'service' },
        { from: 'b', to: 'a', network: 'service' },
      ]);
    });
  });

  it('makes a line slow, and fast again', async () => {
    await withLab({ hosts: ['a', 'b'] }, async (lab) => {
      // 40 echoes of 1,400 bytes are 57,000 bytes each way: 230 ms of a 2 Mbit/s line, of which 16 KiB come at once.
      const slow = await pingBurstMs(lab);
      await lab.rate('a', 'service', 2_000_000);
      expect(await pingBurstMs(lab)).toBeGreaterThan(130);
      await lab.rate('a', 'service', null);
      expect(await pingBurstMs(lab)).toBeLessThan(Math.max(100, slow * 5));
    });
  });
});

async function pingBurstMs(lab: Lab): Promise<number> {
  const begin = performance.now();
  await lab
    .host('b')
    .exec(['ping', '-n', '-q', '-f', '-c', '40', '-l', '40', '-s', '1400', '-W', '1', '10.77.0.11']);
  return performance.now() - begin;
}
