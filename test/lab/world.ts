/**
 * A whole cluster in a lab, for the stories of one file: real processes, real etcd, real addresses, driven by the real
 * command line. A client asks all the time, and every server's kernel is watched.
 *
 * S1. The lab is tied to this process and goes with it, in whatever way it ends.
 * S2. `reset` brings the world to rest before a story, by conditions and not by time; it undoes whatever the last one did.
 */
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { bringUp, type LabCluster } from '@holdfast/cli';
import { createLab, type ExecResult, type Lab } from '@holdfast/lab';
import type { ListedEvent } from './audit.ts';
import { startClient, type Client } from './client.ts';
import { HostDisk, type Fates } from './host-disk.ts';
import { watchKernel, type KernelWatch } from './kernel.ts';
import { quickDisk, removeDisk } from './quick-disk.ts';
import { until } from './until.ts';

export type Status = NonNullable<Awaited<ReturnType<LabCluster['status']>>>;
export type OurProcess = 'run' | 'agent' | 'guard' | 'quorum' | 'mirror';

export interface WorldOptions {
  /** Default a, b, w and client. Members are those that are not called client. */
  readonly hosts?: readonly string[];
  /** cluster.yaml; gets the folder of the points (points.ts). */
  readonly config: (points: string) => string;
  /** What the client asks: udp:ADDRESS or http:ADDRESS. */
  readonly targets: readonly string[];
  /** Each server gets a disk that forgets what was not flushed, of so many mebibytes (host-disk.ts). */
  readonly diskMiB?: number;
}

export interface Operation {
  readonly operation: string;
  readonly outcome: string;
  readonly reason: string;
  readonly steps: readonly { readonly name: string; readonly server: string; readonly outcome: string }[];
}

type Disks = ReadonlyMap<string, HostDisk>;

const bringUpMs = 60_000;
const settleMs = 60_000;

export class World {
  readonly lab: Lab;
  readonly cluster: LabCluster;
  readonly client: Client;
  readonly kernels: ReadonlyMap<string, KernelWatch>;
  /** Folder of the points that hooks and resources pass (programs/point.sh). */
  readonly points: string;
  readonly #options: WorldOptions;
  readonly #disks: Disks;
  #applied: string;
  /** How the operations of this story ended, for failures to tell. */
  ended: string[] = [];

  constructor(parts: Pick<World, 'lab' | 'cluster' | 'points'>, disks: Disks, options: WorldOptions) {
    const { lab, cluster, points } = parts;
    this.lab = lab;
    this.cluster = cluster;
    this.points = points;
    this.#disks = disks;
    this.#options = options;
    this.#applied = options.config(points);
    this.client = startClient(lab.host('client'), options.targets);
    this.kernels = new Map(cluster.servers.map((name) => [name, watchKernel(lab.host(name))]));
  }

  /** The addresses that the client asks. */
  get asked(): string[] {
    return this.#options.targets.map((target) => target.slice(target.indexOf(':') + 1));
  }

  kernel(name: string): KernelWatch {
    const found = this.kernels.get(name);
    if (found === undefined) throw new Error(`${name} is no server`);
    return found;
  }

  /** The servers whose kernels hold the address now. */
  holders(address: string): string[] {
    return [...this.kernels].flatMap(([name, kernel]) => (kernel.holdsNow(address) ? [name] : []));
  }

  // -- what a person does --------------------------------------------------------------------------------------

  /** A command that must succeed, as JSON. */
  async json<T>(host: string, ...args: readonly string[]): Promise<T> {
    return JSON.parse(await this.cluster.must(host, ...args, '-o', 'json')) as T;
  }

  async status(host: string): Promise<Status> {
    return this.#read<Status>(host, 'status');
  }

  events(host: string): Promise<ListedEvent[]> {
    return this.#read<ListedEvent[]>(host, 'get', 'events');
  }

  /** As json(), for what is asked again and again. */
  async #read<T>(host: string, ...args: readonly string[]): Promise<T> {
    const { status, stdout, stderr } = await this.cluster.read(host, ...args, '-o', 'json');
    if (status !== 0) throw new Error(`on ${host}, ${args.join(' ')} ended with status ${status}: ${stderr}`);
    return JSON.parse(stdout) as T;
  }

  /** An operation that is waited for, whatever its outcome; `exit` is the exit status. */
  async operate(
    host: string,
    ...args: readonly string[]
  ): Promise<ExecResult & { readonly ended: Operation | null }> {
    const result = await this.cluster.holdfast(host, ...args, '-o', 'json');
    this.ended.push(`${args.join(' ')}: ${result.status} ${result.stdout}${result.stderr}`);
    return {
      ...result,
      ended: result.stdout.startsWith('{') ? (JSON.parse(result.stdout) as Operation) : null,
    };
  }

  /** A configuration that must be accepted. */
  async mustApply(host: string, config: string): Promise<void> {
    const { status, stderr } = await this.apply(host, config);
    if (status !== 0) throw new Error(`apply ended with status ${status}: ${stderr}`);
  }

  /** Resolves when every agent that runs has it, or to the refusal. */
  async apply(host: string, config: string): Promise<ExecResult> {
    const file = join(this.lab.dir, 'story.yaml');
    writeFileSync(file, config);
    const before = new Map(this.cluster.servers.map((name) => [name, this.#configurations(name)]));
    const result = await this.cluster.holdfast(host, 'apply', '-f', file);
    if (result.status !== 0 || config === this.#applied) return result;
    this.#applied = config;
    for (const [name, count] of before)
      if (this.pidOf(name, 'agent') !== undefined)
        await until(`${name} has the configuration`, 15_000, () => this.#configurations(name) > count);
    return result;
  }

  /** How many configurations an agent has been given, from its journal. */
  #configurations(host: string): number {
    const file = join(this.lab.host(host).dir, 'journal', 'agent.jsonl');
    return existsSync(file) ? readFileSync(file, 'utf8').split('"kind":"configured"').length - 1 : 0;
  }

  // -- processes -----------------------------------------------------------------------------------------------

  /** The pid of a process that `run` supervises, or of `run` itself; undefined when it does not run. */
  pidOf(host: string, name: OurProcess): number | undefined {
    const pid = pidIn(join(this.lab.host(host).dir, 'run', `${name}.pid`));
    return pid !== null && this.lab.host(host).processes().includes(pid) ? pid : undefined;
  }

  mustPid(host: string, name: OurProcess): number {
    const pid = this.pidOf(host, name);
    if (pid === undefined) throw new Error(`no ${name} runs on ${host}`);
    return pid;
  }

  /** `etcd` is started by the quorum service and leaves no pid file. */
  etcdPid(host: string): number {
    const found = this.lab
      .host(host)
      .views()
      .find(({ command }) => /(^|\/)etcd /.test(command));
    if (found === undefined) throw new Error(`no etcd runs on ${host}`);
    return found.pid;
  }

  /** Everything of ours on a host: all that runs there but what only watches, and the service itself. */
  ourPids(host: string): number[] {
    const watching = this.kernels.get(host)?.pid();
    return this.lab
      .host(host)
      .views()
      .filter(
        ({ pid, command }) => pid !== watching && !/lab-service\.js serve|standing-program/.test(command),
      )
      .map(({ pid }) => pid);
  }

  async killAllOfOurs(host: string): Promise<void> {
    await until(`everything of ours on ${host} is gone`, 10_000, () => {
      const pids = this.ourPids(host);
      for (const pid of pids) endProcess(pid);
      return pids.length === 0;
    });
  }

  /** Powers a host on again and starts its member, as systemd would at boot. */
  async boot(host: string): Promise<void> {
    await this.lab.host(host).powerOn();
    await this.#disks.get(host)?.mount();
    await this.kernels.get(host)?.start();
    if (this.pidOf(host, 'run') === undefined) this.cluster.run(host);
  }

  /** A power cut as a disk sees it. All of ours stops first, so that nobody can tell that the disk fails. */
  cutPower(host: string): Promise<Fates> {
    const disk = this.#disks.get(host);
    if (disk === undefined) throw new Error(`the disk of ${host} never forgets`);
    const ours = ['mirror', 'agent', 'guard', 'quorum', 'run'] as const;
    const pids = ours.map((name) => this.mustPid(host, name));
    return disk.cut(() => {
      for (const pid of pids) process.kill(pid, 'SIGSTOP');
    });
  }

  // -- waiting -------------------------------------------------------------------------------------------------

  until(host: string, what: string, limitMs: number, isSo: (status: Status) => boolean): Promise<Status> {
    return this.cluster.until(host, what, isSo, limitMs);
  }

  /** The event of that kind (and, if given, about those words) that was recorded after `afterWallMs`. */
  async event(
    host: string,
    limitMs: number,
    afterWallMs: number,
    isIt: (event: ListedEvent) => boolean,
  ): Promise<ListedEvent> {
    let last: ListedEvent[] = [];
    return until(
      'the event is recorded',
      limitMs,
      async () => {
        last = (await this.events(host)).filter(({ time }) => Date.parse(time) >= afterWallMs);
        return last.find(isIt);
      },
      () => last.map(({ kind, reason }) => `${kind}: ${reason}`).join('\n'),
    );
  }

  async active(group: string, owner: string, limitMs: number, from = 'w'): Promise<Status> {
    return this.until(from, `${group} active on ${owner}`, limitMs, ({ groups }) => {
      const found = groups[group];
      return found?.owner === owner && found.phase === 'active' && found.operation === null;
    });
  }

  /** The first configuration, which is applied as a person would. */
  async begin(): Promise<void> {
    const file = join(this.lab.dir, 'cluster.yaml');
    writeFileSync(file, this.#applied);
    const [first = 'a'] = this.cluster.members;
    await this.cluster.must(first, 'apply', '-f', file);
    for (const kernel of this.kernels.values()) await kernel.start();
    await this.settled();
  }

  /** S2. Resolves to the status at rest. */
  async reset(): Promise<Status> {
    this.ended = [];
    rmSync(this.points, { recursive: true, force: true });
    mkdirSync(this.points, { recursive: true });
    await this.lab.heal();
    for (const member of this.cluster.members) await this.boot(member);
    const [asked = 'a'] = this.cluster.members;
    const config = this.#options.config(this.points);
    if (this.#applied !== config) {
      await this.until(asked, 'a quorum', settleMs, ({ quorum }) => quorum.healthy);
      await this.mustApply(asked, config);
    }
    return this.settled();
  }

  /** Waits until nothing of the last fault is left. */
  async settled(): Promise<Status> {
    const [asked = 'a'] = this.cluster.members;
    const voters =
      this.cluster.members.length % 2 === 0 ? this.cluster.members.length - 1 : this.cluster.members.length;
    const status = await this.until(asked, 'a cluster at rest', settleMs, ({ quorum, servers, groups }) => {
      const healthy = Object.values(quorum.members).filter((member) => member.voter && member.healthy);
      return (
        quorum.healthy &&
        healthy.length === voters &&
        this.cluster.members.every((name) => servers[name]?.state === 'up') &&
        Object.values(groups).every(({ phase, operation }) => phase === 'active' && operation === null)
      );
    });
    for (const { owner, identity } of Object.values(status.groups))
      for (const address of identity.addresses)
        await until(
          `the kernel of ${owner ?? 'the owner'} alone holds ${address}`,
          10_000,
          () => this.holders(plain(address)).join() === owner,
          () => `it is held by ${this.holders(plain(address)).join(' and ')}`,
        );
    return status;
  }

  async close(): Promise<void> {
    this.client.stop();
    for (const kernel of this.kernels.values()) kernel.stop();
    await this.lab.down();
    for (const disk of this.#disks.values()) await disk.close();
    removeDisk(this.lab.dir);
  }

  /** Journals and logs of all hosts, copied away before the lab goes. */
  keepEvidence(): string {
    const folder = mkdtempSync(join(tmpdir(), 'holdfast-lab-evidence-'));
    for (const host of this.lab.hosts)
      for (const part of ['journal', 'run']) {
        const from = join(host.dir, part);
        if (!existsSync(from)) continue;
        mkdirSync(join(folder, host.name), { recursive: true });
        // Sockets cannot be copied, and say nothing.
        cpSync(from, join(folder, host.name, part), {
          recursive: true,
          filter: (file) => !file.endsWith('.sock'),
        });
      }
    return folder;
  }
}

/** Without its prefix length. */
export const plain = (address: string): string => address.split('/')[0] ?? address;

/** SIGKILL; the process may have ended by itself. */
export function endProcess(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

export async function openWorld(options: WorldOptions): Promise<World> {
  const dir = quickDisk('story');
  const lab = await createLab({ dir, hosts: options.hosts ?? ['a', 'b', 'w', 'client'], tied: true }); // S1
  const disks = new Map<string, HostDisk>();
  try {
    const points = join(dir, 'points');
    mkdirSync(points);
    const cluster = await bringUp(lab, { config: null });
    for (const name of options.diskMiB === undefined ? [] : cluster.servers) {
      const disk = new HostDisk(lab.host(name), options.diskMiB ?? 0, disks.size + 1);
      disks.set(name, disk);
      await disk.mount();
      await disk.mountRecords();
    }
    const world = new World({ lab, cluster, points }, disks, options);
    await world.begin();
    return world;
  } catch (error) {
    await lab.down();
    for (const disk of disks.values()) await disk.close();
    removeDisk(dir);
    throw error;
  }
}

export const openWorldMs = bringUpMs + settleMs;

/** Null: nothing runs. Whoever ends a process takes its file away, at any moment. */
function pidIn(file: string): number | null {
  try {
    return Number.parseInt(readFileSync(file, 'utf8'), 10);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}
