// The switch: two bridges, and for each host one port on each. Its ports are the switch-side ends of veth pairs, so a port
// that goes down is a pulled cable: the host loses its carrier.
//
// A direction in which frames are lost is one filter at the exit of the receiver's port, which matches the port that the
// frame came in by. So it holds for every address and every MAC, for broadcast and for both families, one way at a time.
// Measured: kernels without act_gact (no `action drop`), flower and matchall exist; there u32 redirects into a sink, a
// veth pair that nobody reads.
// Sources: ip-link(8), tc-u32(8), tc-mirred(8), tc-tbf(8).
import { mustRun, run } from './command.ts';
import { LabError } from './error.ts';
import { intoHost, intoSwitch } from './namespaces.ts';
import { addressesOf, interfaceOf, macOf, networks, portOf, type Network } from './plan.ts';
import { hostIn, type Block, type HostState, type LabState } from './state.ts';

const sink = 'sink';

async function ip(into: [string, ...string[]], lines: readonly string[], what: string): Promise<void> {
  if (lines.length > 0)
    await mustRun([...into, 'ip', '-batch', '-'], what, { input: `${lines.join('\n')}\n` });
}

async function tc(state: LabState, lines: readonly string[], what: string): Promise<void> {
  if (lines.length > 0)
    await mustRun([...intoSwitch(state), 'tc', '-batch', '-'], what, { input: `${lines.join('\n')}\n` });
}

/** Makes the bridges and the sink, and finds out how this kernel can drop frames. */
export async function buildSwitch(state: LabState): Promise<LabState['drop']> {
  const into = intoSwitch(state);
  // No snooping: without a querier it would lose the multicast that neighbour discovery needs.
  const bridges = networks.flatMap((network) => [
    `link add name ${network} type bridge forward_delay 0 stp_state 0 mcast_snooping 0`,
    `link set ${network} addrgenmode none`,
    `link set ${network} up`,
  ]);
  const sinkLines = [
    `link add name ${sink} type veth peer name ${sink}-end`,
    `link set ${sink} addrgenmode none up`,
    `link set ${sink}-end addrgenmode none up`,
  ];
  await ip(into, [...bridges, ...sinkLines], 'cannot build the switch of the lab');
  for (const drop of ['gact', 'sink'] as const) {
    const rule = [`qdisc replace dev ${sink}-end clsact`, filterLine(`${sink}-end`, 1, sink, drop), ''].join(
      '\n',
    );
    const tried = await run([...into, 'tc', '-batch', '-'], { input: rule, timeoutMs: 10_000 });
    if (tried.status === 0) return drop;
  }
  return 'none';
}

function filterLine(port: string, preference: number, from: string, drop: 'gact' | 'sink'): string {
  const action = drop === 'gact' ? 'action drop' : `action mirred egress redirect dev ${sink}`;
  return `filter add dev ${port} egress protocol all prio ${preference} u32 match u32 0 0 indev ${from} ${action}`;
}

/** Plugs a host that was just powered on into the switch: ports, addresses, faults as they were, then the carrier. */
export async function plugIn(state: LabState, host: HostState): Promise<void> {
  const what = `cannot plug host ${host.name} into the switch`;
  const holder = host.holder;
  if (holder === null) throw new Error(`host ${host.name} has no holder`);
  await ip(
    intoSwitch(state),
    networks.flatMap((network) => {
      const port = portOf(host.name, network);
      return [
        `link add name ${port} type veth peer name ${interfaceOf[network]} address ${macOf(host.number, network)} netns ${holder.pid}`,
        `link set ${port} addrgenmode none master ${network}`,
      ];
    }),
    what,
  );
  const at = addressesOf(host.number);
  await ip(
    intoHost(state, host),
    [
      `addr add ${at.service}/24 brd + dev eth0`,
      ...(state.ipv6 ? [`addr add ${at.service6}/64 dev eth0 nodad`] : []),
      `addr add ${at.private}/24 brd + dev eth1`,
      'link set eth0 up',
      'link set eth1 up',
    ],
    what,
  );
  if (state.drop !== 'none')
    await tc(
      state,
      networks.map((network) => `qdisc add dev ${portOf(host.name, network)} clsact`),
      what,
    );
  const touching = state.blocks.filter(({ from, to }) => from === host.name || to === host.name);
  await addBlocks(state, touching);
  for (const network of networks)
    if (host.rates[network] !== undefined) await applyRate(state, host, network);
  await setPorts(
    state,
    networks.filter((network) => !host.pulled.includes(network)).map((network) => portOf(host.name, network)),
    'up',
  );
}

/** Takes the ports of a host down (all that it can still do is talk to itself). Ports that are gone are fine. */
export async function cutOff(state: LabState, host: HostState): Promise<void> {
  const lines = networks.map((network) => `link set ${portOf(host.name, network)} down\n`);
  await mustRunForced(state, lines, `cannot take down the switch ports of host ${host.name}`);
}

/** Removes the ports of a host that has no power. */
export async function unplug(state: LabState, host: HostState): Promise<void> {
  const lines = networks.map((network) => `link del ${portOf(host.name, network)}\n`);
  await mustRunForced(state, lines, `cannot remove the switch ports of host ${host.name}`);
}

async function mustRunForced(state: LabState, lines: readonly string[], what: string): Promise<void> {
  const done = await run([...intoSwitch(state), 'ip', '-force', '-batch', '-'], {
    input: lines.join(''),
    timeoutMs: 10_000,
  });
  // A port goes by itself with its host's namespace, before ip looks for it or while it does.
  const bad = done.stderr
    .split('\n')
    .filter((line) => line !== '' && !/Cannot find device|No such device|^Command failed/.test(line));
  if (bad.length > 0 || done.timedOut)
    throw new LabError({
      what,
      says: bad.join('; ') || 'no answer within 10 s',
      fix: 'Remove the lab with: holdfast lab down',
    });
}

/** Pulls (down) or plugs (up) cables at the switch. */
export async function setPorts(state: LabState, ports: readonly string[], to: 'up' | 'down'): Promise<void> {
  await ip(
    intoSwitch(state),
    ports.map((port) => `link set ${port} ${to}`),
    `cannot set the switch ports ${ports.join(', ')} ${to}`,
  );
}

/** Starts to lose frames. Hosts without power have no port: their blocks are made when they are powered on. */
export async function addBlocks(state: LabState, blocks: readonly Block[]): Promise<void> {
  const { drop } = state;
  if (drop === 'none') {
    if (blocks.length === 0) return;
    throw new LabError({
      what: 'cannot partition hosts',
      says: 'this kernel has neither cls_u32 with act_gact nor with act_mirred',
      fix: 'Load these modules (modprobe cls_u32 act_gact), or pull a cable instead.',
    });
  }
  const possible = blocks.filter((block) => hasPort(state, block.from) && hasPort(state, block.to));
  await removeBlocks(state, possible);
  await tc(
    state,
    possible.map((block) =>
      filterLine(
        portOf(block.to, block.network),
        preferenceOf(state, block),
        portOf(block.from, block.network),
        drop,
      ),
    ),
    'cannot partition hosts',
  );
}

/** Stops losing frames. A filter that is not there (its port was made anew) is fine. */
export async function removeBlocks(state: LabState, blocks: readonly Block[]): Promise<void> {
  const lines = blocks
    .filter((block) => hasPort(state, block.to))
    .map(
      (block) =>
        `filter del dev ${portOf(block.to, block.network)} egress protocol all prio ${preferenceOf(state, block)}\n`,
    );
  if (lines.length === 0) return;
  const done = await run([...intoSwitch(state), 'tc', '-force', '-batch', '-'], {
    input: lines.join(''),
    timeoutMs: 10_000,
  });
  const bad = done.stderr
    .split('\n')
    .filter((line) => line.startsWith('Error:') && !/not found|Cannot find/i.test(line));
  if (bad.length > 0 || done.timedOut)
    throw new LabError({
      what: 'cannot heal a partition',
      says: bad.join('; ') || 'no answer within 10 s',
      fix: 'Remove the lab with: holdfast lab down',
    });
}

/** One preference per sender, so that each filter on a port can be taken off alone. */
const preferenceOf = (state: LabState, block: Block): number => hostIn(state, block.from).number;

const hasPort = (state: LabState, name: string): boolean => hostIn(state, name).holder !== null;

/** Makes the line of a host as slow as its state says, in both directions, or as fast as it can be. */
export async function applyRate(state: LabState, host: HostState, network: Network): Promise<void> {
  const rate = host.rates[network];
  const device = interfaceOf[network];
  const port = portOf(host.name, network);
  if (rate === undefined) {
    for (const [into, dev] of [
      [intoHost(state, host), device] as const,
      [intoSwitch(state), port] as const,
    ]) {
      const shown = await mustRun(
        [...into, 'tc', 'qdisc', 'show', 'dev', dev, 'root'],
        `cannot read the rate of ${host.name}`,
      );
      if (shown.includes('qdisc tbf'))
        await mustRun(
          [...into, 'tc', 'qdisc', 'del', 'dev', dev, 'root'],
          `cannot unset the rate of ${host.name}`,
        );
    }
    return;
  }
  // 10 ms of line in one burst, and at most 50 ms in the queue: a slow line, not a far one.
  const burst = Math.min(Math.max(Math.ceil(rate / 800), 16 * 1024), 256 * 1024);
  const tbf = ['tbf', 'rate', `${rate}bit`, 'burst', `${burst}`, 'latency', '50ms'] as const;
  const what = `cannot set the rate of ${host.name} on the ${network} network`;
  await mustRun([...intoHost(state, host), 'tc', 'qdisc', 'replace', 'dev', device, 'root', ...tbf], what);
  await mustRun([...intoSwitch(state), 'tc', 'qdisc', 'replace', 'dev', port, 'root', ...tbf], what);
}
