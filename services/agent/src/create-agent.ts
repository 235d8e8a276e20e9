/** Reads what an agent needs from the disk, opens its relay, and makes it. Nothing is started yet. */

import { pathIn } from '@holdfast/wire/directory';
import { Agent, type AgentOptions } from './agent.ts';
import { readCachedConfig } from './config-cache.ts';
import { openDevices } from './devices.ts';
import { openRelay } from './heard-relay.ts';
import { openMemory } from './memory.ts';
import { readOwnName } from './service-names.ts';

export type CreatedAgent =
  { readonly kind: 'agent'; readonly agent: Agent } | { readonly kind: 'failed'; readonly says: string };

export async function createAgent(options: AgentOptions): Promise<CreatedAgent> {
  const { directory, platform, log } = options;
  const bootId = platform.clock.bootId();
  const [memory, devices, ownName, config] = await Promise.all([
    openMemory(directory.path, bootId),
    openDevices(platform.addresses, directory.path),
    readOwnName(directory.path, bootId, platform.names.hostname()),
    readCachedConfig(directory.path),
  ]);
  if (config.kind === 'garbage') log.warn('configuration', `${config.says}; it is asked for anew`);
  const relay = await openRelay(pathIn(directory.path, 'run', 'heard.sock'), (says) =>
    log.warn('relay', says),
  );
  if (relay.kind === 'failed') return relay;
  const cached = config.kind === 'ok' ? config.cached : null;
  return {
    kind: 'agent',
    agent: new Agent(options, { memory, devices, ownName, cached, relay: relay.relay }),
  };
}
