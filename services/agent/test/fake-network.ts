/**
 * Hosts without a system: who holds which service address is known to one object that all of them share, so that a
 * story can tell at any moment whether an address is nowhere, once, or twice. Lifetimes run out by themselves, as the
 * kernel's do.
 */
import type {
  CommandResult,
  Lack,
  Outcome,
  Platform,
  Sighting,
  UnitState,
  WatchdogState,
} from '../src/platform/platform.ts';

export interface Run {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

export const exited = (status: number, output = ''): CommandResult => ({
  kind: 'exited',
  status,
  signal: null,
  output,
  ms: 1,
});

const done: Outcome = { kind: 'done' };

export class FakeNetwork {
  /** Every change of an address, in order. */
  readonly history: string[] = [];
  readonly #hosts: FakeHost[] = [];
  /** A stranger answers there. */
  readonly strangers = new Map<string, string>();

  host(name: string, bootId = `boot-of-${name}`): FakeHost {
    const host = new FakeHost(this, name, bootId);
    this.#hosts.push(host);
    return host;
  }

  holders(address: string): readonly string[] {
    return this.#hosts.filter((h) => h.holds(address)).map((h) => h.name);
  }

  link(asker: FakeHost, address: string): Sighting {
    const stranger = this.strangers.get(address);
    if (stranger !== undefined) return { kind: 'somebody', linkAddress: stranger };
    const holder = this.#hosts.find((h) => h !== asker && h.holds(address));
    return holder === undefined ? { kind: 'nobody' } : { kind: 'somebody', linkAddress: holder.linkAddress };
  }
}

export class FakeHost {
  readonly name: string;
  readonly linkAddress: string;
  readonly runs: Run[] = [];
  readonly hosts = new Map<string, readonly string[]>();
  readonly announced: string[] = [];
  readonly dnsUpdates: string[] = [];
  hostname: string;
  bootId: string;
  lacks: readonly Lack[] = [];
  watchdog: WatchdogState = { kind: 'unusable', says: 'there is none' };
  dns: Outcome = done;
  /** What the next settings of an address come to. */
  holding: () => Promise<Outcome> = () => Promise.resolve(done);
  dropping: () => Promise<Outcome> = () => Promise.resolve(done);
  /** And those of a name in the hosts file that goes. */
  unnaming: () => Promise<Outcome> = () => Promise.resolve(done);
  /** What a command does. By default it works. */
  command: (run: Run) => Promise<CommandResult> = () => Promise.resolve(exited(0));
  readonly #network: FakeNetwork;
  readonly #until = new Map<string, number>();
  /** Commands under way, by their mark. */
  readonly #underWay = new Map<string, (result: CommandResult) => void>();
  killed = 0;

  constructor(network: FakeNetwork, name: string, bootId: string) {
    this.#network = network;
    this.name = name;
    this.hostname = `host-${name}`;
    this.bootId = bootId;
    this.linkAddress = `52:54:00:00:00:${Buffer.from(name).toString('hex').padStart(2, '0').slice(0, 2)}`;
  }

  now(): number {
    return Number(process.hrtime.bigint()) / 1e6;
  }

  holds(address: string): boolean {
    return (this.#until.get(address) ?? -Infinity) > this.now();
  }

  /** When the address goes by itself. */
  endOf(address: string): number | null {
    return this.#until.get(address) ?? null;
  }

  /** As the guard's drop command does. */
  drop(address: string): void {
    if (this.#until.delete(address)) this.#network.history.push(`${this.name} dropped ${address}`);
  }

  /** Ends the commands with this mark in their environment. */
  kill(mark: string): void {
    const end = this.#underWay.get(mark);
    if (end === undefined) return;
    this.killed += 1;
    end({ kind: 'exited', status: null, signal: 'SIGKILL', output: '', ms: 1 });
  }

  async #run(run: Run): Promise<CommandResult> {
    const mark = `HOLDFAST_COMMAND=${run.env['HOLDFAST_COMMAND'] ?? ''}`;
    const killed = new Promise<CommandResult>((resolve) => this.#underWay.set(mark, resolve));
    try {
      return await Promise.race([this.command(run), killed]);
    } finally {
      this.#underWay.delete(mark);
    }
  }

  ran(program: string): readonly Run[] {
    return this.runs.filter((run) => run.argv[0] === program);
  }

  platform(): Platform {
    const set = async (address: string, until: number): Promise<Outcome> => {
      const outcome = await this.holding();
      if (outcome.kind === 'failed') return outcome;
      if (!this.holds(address)) this.#network.history.push(`${this.name} set ${address}`);
      this.#until.set(address, until);
      return done;
    };
    return {
      clock: { bootMs: () => this.now(), bootId: () => this.bootId },
      addresses: {
        interfaceFor: () => Promise.resolve('eth0'),
        hold: (address, _device, seconds) => set(address, this.now() + seconds * 1000),
        keep: (address) => set(address, Infinity),
        drop: async (address) => {
          const outcome = await this.dropping();
          if (outcome.kind === 'done') this.drop(address);
          return outcome;
        },
        has: (address) => Promise.resolve(this.holds(address)),
        dropCommands: (address) => [['fake-drop', address]],
      },
      neighbours: {
        probe: (address) => Promise.resolve(this.#network.link(this, address)),
        announce: (address) => {
          this.announced.push(address);
          return Promise.resolve(done);
        },
        linkAddress: () => Promise.resolve(this.linkAddress),
      },
      names: {
        add: (name, addresses) => {
          this.hosts.set(name, addresses);
          return Promise.resolve(done);
        },
        remove: async (name) => {
          const outcome = await this.unnaming();
          if (outcome.kind === 'done') this.hosts.delete(name);
          return outcome;
        },
        hostname: () => this.hostname,
        setHostname: (name) => {
          this.hostname = name;
          return Promise.resolve(done);
        },
        updateDns: (update) => {
          this.dnsUpdates.push(update.name);
          return Promise.resolve(this.dns);
        },
      },
      units: {
        start: () => Promise.resolve(done),
        stop: () => Promise.resolve(done),
        state: () => Promise.resolve<UnitState>('running'),
        stopCommands: (unit) => [['systemctl', 'stop', unit]],
      },
      commands: {
        run: (argv, _timeoutMs, env) => {
          const run = { argv, env: env ?? {} };
          this.runs.push(run);
          return this.#run(run);
        },
      },
      echo: { ping: () => Promise.resolve(false) },
      watchdogs: { look: () => this.watchdog },
      missing: () => Promise.resolve(this.lacks),
    };
  }
}
