/** Which voters' etcd answers: asked over connections that stay, and at each address that a voter has. */

import { connect, createServer, type AddressInfo, type Server } from 'node:net';
import { defaultPorts, type KnownMember } from '@holdfast/wire/directory';
import { VoterHealth } from '../src/voter-health.ts';
import { createFixture, recordEvents, until, type Fixture } from './etcd-fixture.ts';

let fixture: Fixture;
/** In front of etcd: counts who comes. */
let door: Server;
let visits = 0;

beforeAll(async () => {
  fixture = createFixture();
  const options = await fixture.options('a');
  await fixture.start(options, recordEvents());
  door = createServer((visitor) => {
    visits += 1;
    const etcd = connect(options.clientPort, '127.0.0.1');
    for (const [one, other] of [
      [visitor, etcd],
      [etcd, visitor],
    ] as const)
      one.pipe(other).on('error', () => one.destroy());
  });
  await new Promise<void>((resolve) => door.listen(0, '127.0.0.1', resolve));
}, 15_000);

afterAll(async () => {
  door.close();
  await fixture.close();
}, 15_000);

const voter = (id: string, ...addresses: readonly string[]): KnownMember => ({
  ...{ id, role: 'server', voter: true, addresses: [...addresses] },
  ports: { ...defaultPorts, etcdClient: (door.address() as AddressInfo).port },
});

/** The door is not open there. */
const dead = '127.0.0.9';

type Told = Readonly<Record<string, boolean>>;

/** Asked until it is so, for a handshake may take longer than it is waited for. */
const told = (health: VoterHealth, wanted: Told, known: readonly KnownMember[]): Promise<Told> =>
  until('it is told', async () => {
    const rows = await health.ask(known, fixture.tls);
    const well = Object.fromEntries([...rows].map(([id, { isWell }]) => [id, isWell]));
    return Object.keys(wanted).every((id) => well[id] === wanted[id]) ? well : null;
  });

describe('the health of voters', () => {
  let health: VoterHealth;

  beforeEach(() => {
    health = new VoterHealth('a', 0);
  });

  afterEach(() => health.close());

  it('is told of each, also where the first address of one is dead', async () => {
    const wanted = { a: true, b: true, c: false };
    const known = [voter('a', '10.9.9.9'), voter('b', dead, '127.0.0.1'), voter('c', dead)];
    expect(await told(health, wanted, known)).toEqual(wanted);
  }, 15_000);

  it('says how much its database takes, and raises no alarm for it', async () => {
    await told(health, { b: true }, [voter('b', '127.0.0.1')]);
    const store = (await health.ask([voter('b', '127.0.0.1')], fixture.tls)).get('b');
    expect(store?.dbBytes).toBeGreaterThan(0);
    expect(store?.alarms).toEqual([]);
  }, 15_000);

  it('is asked again and again over one connection', async () => {
    const known = [voter('b', '127.0.0.1')];
    await told(health, { b: true }, known);
    const before = visits;
    for (let time = 0; time < 3; time += 1) await told(health, { b: true }, known);
    expect(visits).toBe(before);
  }, 15_000);
});
