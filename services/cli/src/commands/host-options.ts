/** What `init` and `join` know of the host itself: its name, addresses and ports, judged before anything is touched. */
import { networkInterfaces } from 'node:os';
import type { MemberPorts } from '@holdfast/wire/directory';
import { ok, wrong, type Fallible } from '../trouble.ts';

export interface HostOptions {
  readonly node: string;
  readonly address?: readonly string[];
  readonly portGrpc?: string;
  readonly portHeartbeat?: string;
  readonly portMirror?: string;
  readonly portMetrics?: string;
  readonly portEtcdClient?: string;
  readonly portEtcdPeer?: string;
  readonly etcdCa?: string;
  readonly etcdCert?: string;
  readonly etcdKey?: string;
}

export interface HostFacts {
  readonly id: string;
  readonly addresses: readonly string[];
  readonly ports: MemberPorts;
  /** Things that are possible and probably not meant. */
  readonly warnings: readonly string[];
}

/** As many as a member's record in the cluster's store may have. */
const addressesMax = 8;

/** `needed`: whether an address has to be given, as for everything that others must reach. */
export async function hostFacts(options: HostOptions, needed: boolean): Promise<Fallible<HostFacts>> {
  const { isAddress, nameProblem } = await import('@holdfast/wire/directory');
  const badName = nameProblem('member', options.node);
  if (badName !== null) return wrong(`--node: ${badName}`);
  const given = options.address ?? [];
  const bad = given.find((address) => !isAddress(address));
  if (bad !== undefined) {
    const plain = bad.replace(/\/\d+$/, '');
    const fix =
      plain !== bad && isAddress(plain)
        ? `Write it without the prefix: ${plain}.`
        : 'Names are not looked up; write the address itself, such as 10.77.0.11.';
    return wrong(`--address: ${JSON.stringify(bad)} is not an IPv4 or IPv6 address`, fix);
  }
  const { canonicalAddress, unreachableMember } = await import('@holdfast/core');
  const unreachable = given.flatMap((address) => unreachableMember(address) ?? [])[0];
  if (unreachable !== undefined) return wrong(`--address: ${unreachable}`);
  // As the kernel writes it, so that texts can be compared from here on.
  const addresses = given.map(canonicalAddress);
  const twice = addresses.find((address, index) => addresses.indexOf(address) !== index);
  if (twice !== undefined) return wrong(`--address: ${twice} is given twice`);
  if (addresses.length > addressesMax) return wrong(`--address: at most ${addressesMax} addresses`);
  if (needed && addresses.length === 0)
    return wrong(
      '--address is missing',
      "Give the host's own address on the service network; more addresses are more heartbeat paths.",
    );
  const ports = await portsOf(options);
  if (ports.kind === 'error') return ports;
  return ok({ id: options.node, addresses, ports: ports.value, warnings: addressWarnings(addresses) });
}

async function portsOf(options: HostOptions): Promise<Fallible<MemberPorts>> {
  const { defaultPorts } = await import('@holdfast/wire/directory');
  const given: readonly (readonly [keyof MemberPorts, string, string | undefined])[] = [
    ['grpc', '--port-grpc', options.portGrpc],
    ['heartbeat', '--port-heartbeat', options.portHeartbeat],
    ['mirror', '--port-mirror', options.portMirror],
    ['metrics', '--port-metrics', options.portMetrics],
    ['etcdClient', '--port-etcd-client', options.portEtcdClient],
    ['etcdPeer', '--port-etcd-peer', options.portEtcdPeer],
  ];
  const ports = { ...defaultPorts };
  for (const [key, option, text] of given) {
    if (text === undefined) continue;
    if (!/^\d{1,5}$/.test(text) || Number(text) < 1 || Number(text) > 65_535)
      return wrong(`${option}: ${JSON.stringify(text)} is not a port`, 'Write a number from 1 to 65535.');
    ports[key] = Number(text);
  }
  // The heartbeat is UDP and may share a number with the rest.
  const tcp = given.filter(([key]) => key !== 'heartbeat');
  for (const [index, [key, option]] of tcp.entries()) {
    const other = tcp.slice(0, index).find(([before]) => ports[before] === ports[key]);
    if (other !== undefined)
      return wrong(`${option} and ${other[1]} are both ${ports[key]}`, 'Give each its own port.');
  }
  return ok(ports);
}

function addressWarnings(addresses: readonly string[]): string[] {
  const present = Object.values(networkInterfaces()).flatMap((all) =>
    (all ?? []).map(({ address }) => address),
  );
  const missing = addresses.filter((address) => !present.includes(address));
  if (missing.length === 0) return [];
  const which = missing.length === 1 ? 'is not an address' : 'are not addresses';
  return [
    `${missing.join(', ')} ${which} of this host now; members will not reach it there until it has them`,
  ];
}
