/**
 * Everything on this server that would make a takeover fail tonight: programs, commands, interfaces, certificates,
 * clocks, space. Reported to the quorum service, which shows it (`holdfast check`), whenever it changed.
 */

import { X509Certificate } from 'node:crypto';
import { access, constants } from 'node:fs/promises';
import { delimiter, isAbsolute, join } from 'node:path';
import {
  formatDuration,
  heldEpoch,
  identityAddresses,
  spareAddress,
  watchdogMsMax,
  type AgentState,
  type GroupConfig,
} from '@holdfast/core';
import type { agents } from '@holdfast/proto';
import type { ClockWatch } from './clock-watch.ts';
import type { GuardLink } from './guard-link.ts';
import type { Host } from './host.ts';
import type { MirrorLink } from './mirror-link.ts';
import type { QuorumServices } from './quorum-services.ts';
import { mountsNamed } from './volumes/mounts.ts';
import { lacksOf } from './volumes/needs.ts';
import type { ServiceAddresses } from './service-addresses.ts';
import type { ServiceNames } from './service-names.ts';
import { writtenPlaces, type Space } from './space.ts';

const everyMs = 60_000;
/** Whoever mends something, or waits for what is starting, looks again soon. */
const problemEveryMs = 10_000;
const soonMs = 1_000;
const reportMs = 2_000;
const nothing = '[]';
const dayMs = 86_400_000;
const certificateDays = 14;
const problemsMax = 200;

export interface PreflightParts {
  readonly services: QuorumServices;
  readonly addresses: ServiceAddresses;
  readonly names: ServiceNames;
  readonly clocks: ClockWatch;
  readonly guard: GuardLink | null;
  readonly mirrors: MirrorLink | null;
  readonly space: Space;
  /** The member's own. */
  readonly directory: string;
  /** PEM. */
  readonly certificate: string;
  /** Ports of this member that can't be listened on, in words. */
  ports(): readonly string[];
  /** What an earlier life left here and can't be cleared, in words. */
  leftovers(): readonly string[];
}

type Problem = agents.Problem;

export class Preflight {
  readonly #host: Host;
  readonly #parts: PreflightParts;
  #timer: NodeJS.Timeout | null = null;
  #reported: string | null = null;
  #running: Promise<void> | null = null;
  #again = false;
  #found: number | null = null;
  #closed = false;

  constructor(host: Host, parts: PreflightParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /** How many problems; null before it looked. */
  get found(): number | null {
    return this.#found;
  }

  /** Now, and then every minute; more often while something is wrong. */
  check(): void {
    if (this.#closed) return;
    if (this.#running !== null) {
      this.#again = true;
      return;
    }
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#running = this.#checkOnce().finally(() => {
      this.#running = null;
      if (this.#closed) return;
      const soon = this.#again || this.#reported === null;
      this.#again = false;
      const laterMs = this.#reported === nothing ? everyMs : problemEveryMs;
      this.#timer = setTimeout(() => this.check(), soon ? soonMs : laterMs).unref();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  async #checkOnce(): Promise<void> {
    const problems = (await this.find()).slice(0, problemsMax);
    this.#found = problems.length;
    const text = JSON.stringify(problems);
    if (text === this.#reported) return;
    const answer = await this.#parts.services.report({ server: this.#host.self, problems }, reportMs);
    if (answer.kind === 'ok') this.#reported = text;
  }

  async find(): Promise<Problem[]> {
    const state = this.#host.state();
    const groups = [...(state.config?.groups.values() ?? [])].filter((g) => g.servers.includes(state.self));
    // A witness never takes anything over.
    const lacks = state.role === 'server' ? await this.#host.platform.missing() : [];
    const found = await Promise.all([
      ...groups.map((g) => this.#groupProblems(g)),
      this.#fenceCommandProblems(state, groups),
      this.#spaceProblems(state),
    ]);
    return [
      ...lacks.map(({ name, says, fix }) => this.#problem(name, says, fix)),
      ...found.flat(),
      ...this.#guardProblems(groups),
      ...this.#mirrorProblems(),
      ...this.#nameProblems(),
      ...this.#parts.ports().map((says) => this.#problem('port', says, freePort)),
      ...this.#parts.leftovers().map((says) => this.#problem('leftovers', says, clearIt)),
      ...this.#watchdogProblems(state, groups),
      ...this.#certificateProblems(),
      ...this.#clockProblems(state),
    ];
  }

  #problem(name: string, says: string, fix: string): Problem {
    return { name, server: this.#host.self, says, fix };
  }

  async #groupProblems(group: GroupConfig): Promise<Problem[]> {
    const spare = spareAddress(group.identity);
    const addresses = [...identityAddresses(group.identity), ...(spare === null ? [] : [spare])];
    const devices = await Promise.all(
      addresses.map(async (address) => {
        if ((await this.#parts.addresses.deviceOf(address, group)) !== null) return [];
        const says = `no interface here has an address in the network of ${address}`;
        return [this.#problem(`${group.name}/interface`, says, 'write identity.interface')];
      }),
    );
    const commands = await Promise.all(
      commandsOf(group).map(async ([name, argv]) => {
        const says = await notExecutable(argv[0] ?? '');
        const fix = 'install it on this server, or correct the configuration';
        return says === null ? [] : [this.#problem(`${group.name}/${name}`, says, fix)];
      }),
    );
    const volumes = group.resources.flatMap(({ name, runs }) =>
      lacksOf(runs).map(({ says, fix }) => this.#problem(`${group.name}/${name}`, says, fix)),
    );
    return [
      ...devices.flat(),
      ...commands.flat(),
      ...volumes,
      ...this.#mountProblems(group),
      ...(await this.#keyProblems(group)),
    ];
  }

  /** Where nothing of the group is here, what is mounted at its folders is somebody else's. */
  #mountProblems({ name: group, resources }: GroupConfig): Problem[] {
    const { groups, stripped } = this.#host.state();
    if (!stripped) return [];
    const holding = groups.get(group)?.holding;
    if (holding !== undefined && heldEpoch(holding) !== null) return [];
    return resources.flatMap(({ name, runs }) => {
      const there = runs.kind === 'mount' ? mountsNamed(runs.at).at(-1) : undefined;
      if (there === undefined) return [];
      const says = `${there.source} is mounted at ${there.at}, and is not the volume of the group`;
      return [this.#problem(`${group}/${name}`, says, 'unmount it here, or write another folder (mount.at)')];
    });
  }

  async #keyProblems(group: GroupConfig): Promise<Problem[]> {
    const key = group.identity.dns?.key ?? null;
    if (key === null || (await isReadable(key, constants.R_OK))) return [];
    const says = `the DNS key file ${key} can't be read`;
    return [this.#problem(`${group.name}/dns`, says, 'copy it to this server, readable for root')];
  }

  /** The commands that this server would run against others. */
  async #fenceCommandProblems(state: AgentState, groups: readonly GroupConfig[]): Promise<Problem[]> {
    const others = new Set(groups.flatMap((g) => g.servers).filter((s) => s !== state.self));
    const found = await Promise.all(
      [...others].map(async (server) => {
        const command = state.config?.servers.get(server)?.fence ?? null;
        const says = command === null ? null : await notExecutable(command.argv[0] ?? '');
        return says === null
          ? []
          : [this.#problem(`${server}/fence`, says, 'install it on every server that may have to run it')];
      }),
    );
    return found.flat();
  }

  async #spaceProblems(state: AgentState): Promise<Problem[]> {
    const found = await this.#parts.space.shortages(writtenPlaces(this.#parts.directory, state));
    return found.map(({ says, fix }) => this.#problem('space', says, fix));
  }

  #guardProblems(groups: readonly GroupConfig[]): Problem[] {
    const { guard } = this.#parts;
    if (groups.length === 0 || guard === null) return [];
    if (guard.isConnected && guard.refusal === '') return [];
    if (guard.isConnected) {
      const way = 'correct the configuration of that group; until then it is fenced when its deadline passes';
      return [this.#problem('guard', `the guard refuses what it is to do: ${guard.refusal}`, way)];
    }
    const fix = 'look at run/guard.log; `holdfast run` starts it again';
    return [this.#problem('guard', 'the guard does not answer: nothing can be taken over here', fix)];
  }

  #mirrorProblems(): Problem[] {
    const fix =
      'look at run/mirror.log, and at the disks of its mirrors; `holdfast run` starts a process that ended again';
    return (this.#parts.mirrors?.problems() ?? []).map((says) => this.#problem('mirror', says, fix));
  }

  #certificateProblems(): Problem[] {
    const ends = Date.parse(new X509Certificate(this.#parts.certificate).validTo);
    const days = Math.floor((ends - Date.now()) / dayMs);
    if (days >= certificateDays) return [];
    const says =
      days < 0
        ? 'the certificate of this member has expired'
        : `the certificate of this member ends in ${days} days`;
    return [this.#problem('certificate', says, newCertificate(this.#host.self))];
  }

  #nameProblems(): Problem[] {
    return [...this.#parts.names.untold].map(([group, says]) =>
      this.#problem(`${group}/dns`, `the name server does not know that ${group} is here: ${says}`, knowing),
    );
  }

  #watchdogProblems(state: AgentState, groups: readonly GroupConfig[]): Problem[] {
    const device = state.config?.servers.get(state.self)?.watchdog ?? null;
    if (device === null || groups.length === 0) return [];
    const looked = this.#host.platform.watchdogs.look(device);
    if (looked.kind === 'unusable') {
      const fix = 'load the driver of the watchdog, or correct servers.NAME.watchdog';
      return [this.#problem('watchdog', `the watchdog can't be used: ${looked.says}`, fix)];
    }
    const msMax = Math.min(...groups.map((g) => watchdogMsMax(g.rules)));
    if (looked.timeoutMs === null || looked.timeoutMs <= msMax) return [];
    const says =
      `the watchdog ${device} counts ${formatDuration(looked.timeoutMs)}: ` +
      'it may reset this host after another server took over';
    const fix = `set the timeout of its driver to ${Math.max(1, Math.floor(msMax / 1_000))} s or less`;
    return [this.#problem('watchdog', says, fix)];
  }

  #clockProblems({ members }: AgentState): Problem[] {
    this.#parts.clocks.keep(members);
    return this.#parts.clocks.troubles().map(({ member, kind, says }) => {
      const fix =
        kind === 'wall'
          ? 'synchronise the clocks (chrony, systemd-timesyncd); takeovers do not depend on it, certificates do'
          : 'repair the clock of one of them: the time rules allow for 1 %';
      return this.#problem(`clock/${member}`, says, fix);
    });
  }
}

const knowing = 'look at the name server and identity.dns; it is tried again by itself';
const freePort = 'stop the process that has the port (ss -lntup shows it); it is tried again by itself';

const clearIt =
  'end what uses it, or restart this host: nothing is taken over here before it is gone; it is tried again by itself';

/** Nobody renews a certificate in place. */
const newCertificate = (self: string): string =>
  `check the wall clock; if it is right, give this member a new certificate: apply a configuration without ${self}, ` +
  `stop holdfast here, run "holdfast remove ${self}" on another member, and join again with a new token and an empty --dir`;

function commandsOf(group: GroupConfig): readonly (readonly [string, readonly string[]])[] {
  const hooks = Object.entries(group.hooks).flatMap(([point, commands]) =>
    commands.map(({ argv }, index) => [`${point} ${index + 1}`, argv] as const),
  );
  const resources = group.resources.flatMap(({ name, runs }) => {
    switch (runs.kind) {
      case 'systemd':
        return [];
      case 'ocf':
      case 'attach':
      case 'mount':
        return [];
      case 'command':
        return [
          [`${name} start`, runs.start] as const,
          [`${name} stop`, runs.stop] as const,
          ...(runs.status === null ? [] : [[`${name} status`, runs.status] as const]),
        ];
    }
  });
  return [...hooks, ...resources];
}

/** Why the program can't be run; null when it can, as far as that can be told without running it. */
async function notExecutable(program: string): Promise<string | null> {
  if (isAbsolute(program)) {
    if (await isReadable(program, constants.X_OK)) return null;
    const there = await isReadable(program, constants.F_OK);
    return there ? `${program} may not be executed` : `${program} does not exist`;
  }
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  for (const folder of folders) if (await isReadable(join(folder, program), constants.X_OK)) return null;
  return `${program} is not found in PATH`;
}

async function isReadable(path: string, mode: number): Promise<boolean> {
  try {
    await access(path, mode);
    return true;
  } catch {
    // Whatever the reason: it can't be used.
    return false;
  }
}
