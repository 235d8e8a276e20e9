/** Who leads: etcd's leader and the leading quorum service, put where a story wants them. */
import { join } from 'node:path';
import { until } from './until.ts';
import type { World } from './world.ts';

const program = join(import.meta.dirname, 'programs/lead-etcd.js');

/** Makes this member the leader of both. */
export async function leadBoth(world: World, member: string): Promise<void> {
  await leadQuorum(world, member);
  await leadEtcd(world, member);
}

export async function leadEtcd(world: World, member: string): Promise<void> {
  await until(`${member} leads etcd`, 20_000, async () => (await askEtcd(world, member, member)) === member);
}

/** Whose etcd leads; null while nobody does. */
export function etcdLeader(world: World, asked: string): Promise<string | null> {
  return askEtcd(world, asked);
}

async function askEtcd(world: World, asked: string, ...wanted: readonly string[]): Promise<string | null> {
  const host = world.lab.host(asked);
  const { status, stdout } = await host.exec([process.execPath, program, host.dir, ...wanted]);
  return status === 0 ? stdout.trim() : null;
}

/** The leading service lets go while all but the wanted one are frozen. */
async function leadQuorum(world: World, member: string): Promise<void> {
  const { leader } = (await world.settled()).quorum;
  if (leader === member) return;
  const service = (name: string): number => world.mustPid(name, 'quorum');
  const others = world.cluster.members.filter((name) => name !== member && name !== leader);
  for (const name of others) await world.lab.host(name).freezeProcess(service(name));
  if (leader !== null) await world.lab.host(leader).killProcess(service(leader), 'SIGTERM');
  await world.until(member, `${member} leads`, 30_000, ({ quorum }) => quorum.leader === member);
  for (const name of others) await world.lab.host(name).thawProcess(service(name));
  await world.settled();
}
