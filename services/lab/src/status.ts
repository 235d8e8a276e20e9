// What a lab is now, as data: for people through the cli, for tests through an assertion.
import * as z from 'zod';
import { mustRun } from './command.ts';
import { LabError } from './error.ts';
import { hostHandle } from './host.ts';
import { isTiedLab, isWhole } from './lab.ts';
import { intoHost } from './namespaces.ts';
import { addressesOf, networks, type HostAddresses, type Network } from './plan.ts';
import { marked, view, type ProcessView } from './process.ts';
import { canonicalDir, defaultLabDir, markOf, readState, type HostState, type LabState } from './state.ts';

export interface HostStatus {
  readonly name: string;
  readonly power: 'on' | 'off';
  /** The addresses it was born with. */
  readonly addresses: HostAddresses;
  /** The addresses on its interfaces now, with prefix length, without loopback and link-local; empty while off. */
  readonly present: readonly { readonly network: Network; readonly address: string }[];
  readonly cables: Readonly<Record<Network, 'plugged' | 'pulled'>>;
  /** Bits per second; null is unlimited. */
  readonly rates: Readonly<Record<Network, number | null>>;
  readonly bootId: string;
  readonly dir: string;
  readonly processes: readonly ProcessView[];
}

export type LabStatus =
  | { readonly kind: 'down'; readonly dir: string }
  /** Something is left of a lab: remove it with `lab down`. */
  | {
      readonly kind: 'ruins';
      readonly dir: string;
      readonly says: string;
      readonly processes: readonly ProcessView[];
    }
  | {
      readonly kind: 'up';
      readonly dir: string;
      readonly createdAt: string;
      readonly rootless: boolean;
      /** True when it goes with the process that made it. */
      readonly tied: boolean;
      readonly hosts: readonly HostStatus[];
      /** Directions in which frames are lost. */
      readonly partitions: readonly {
        readonly from: string;
        readonly to: string;
        readonly network: Network;
      }[];
    };

const readsMax = 5;

export async function labStatus(dir: string = defaultLabDir()): Promise<LabStatus> {
  const canonical = canonicalDir(dir);
  for (let reads = 1; ; reads++) {
    try {
      return await readStatus(canonical);
    } catch (error) {
      // A host was powered off, or the lab went down, while it was being looked at: look again.
      if (!(error instanceof LabError) || reads === readsMax) throw error;
    }
  }
}

async function readStatus(canonical: string): Promise<LabStatus> {
  const mark = markOf(canonical);
  const stored = readState(canonical);
  const ruins = (says: string): LabStatus => ({
    kind: 'ruins',
    dir: canonical,
    says,
    processes: marked(mark).flatMap((pid) => view(pid) ?? []),
  });
  switch (stored.kind) {
    case 'none':
      return marked(mark).length === 0
        ? { kind: 'down', dir: canonical }
        : ruins('its processes run, but lab.json is gone');
    case 'broken':
      return ruins(stored.says);
    case 'lab': {
      const { state } = stored;
      if (!isWhole(state)) return ruins('a process that holds its namespaces is gone');
      return {
        kind: 'up',
        dir: canonical,
        createdAt: state.createdAt,
        rootless: state.rootless,
        tied: isTiedLab(canonical),
        hosts: await Promise.all(state.hosts.map((host) => hostStatus(canonical, mark, state, host))),
        partitions: state.blocks,
      };
    }
  }
}

async function hostStatus(dir: string, mark: string, state: LabState, host: HostState): Promise<HostStatus> {
  const handle = hostHandle(dir, mark, host.name);
  const cable = (network: Network): 'plugged' | 'pulled' =>
    host.pulled.includes(network) ? 'pulled' : 'plugged';
  return {
    name: host.name,
    power: host.holder === null ? 'off' : 'on',
    addresses: addressesOf(host.number),
    present: host.holder === null ? [] : await presentAddresses(state, host),
    cables: { service: cable('service'), private: cable('private') },
    rates: { service: host.rates.service ?? null, private: host.rates.private ?? null },
    bootId: host.bootId,
    dir: handle.dir,
    processes: handle.views(),
  };
}

// ip -json addr show: an array of links; keys as in ip-address(8). Empty objects appear in it on old versions.
const links = z.array(
  z.object({
    ifname: z.string().optional(),
    addr_info: z
      .array(
        z.object({
          local: z.string().optional(),
          prefixlen: z.int().optional(),
          scope: z.string().optional(),
        }),
      )
      .optional(),
  }),
);

async function presentAddresses(state: LabState, host: HostState): Promise<HostStatus['present']> {
  const shown = await mustRun(
    [...intoHost(state, host), 'ip', '-json', 'addr', 'show'],
    `cannot read the addresses of host ${host.name}`,
  );
  const parsed = links.parse(JSON.parse(shown));
  const nameOf: Readonly<Record<string, Network>> = { eth0: 'service', eth1: 'private' };
  return parsed.flatMap(({ ifname, addr_info: all = [] }) => {
    const network = networks.find((each) => each === nameOf[ifname ?? '']);
    if (network === undefined) return [];
    return all.flatMap(({ local, prefixlen, scope }) =>
      local === undefined || scope === 'link' ? [] : [{ network, address: `${local}/${prefixlen ?? ''}` }],
    );
  });
}
