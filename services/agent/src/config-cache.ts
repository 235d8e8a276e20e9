/**
 * The last configuration, in `state/config.json`, so that an agent that was started again knows its groups without the
 * network. The revision says how old it is; a newer one from a quorum service replaces it.
 */

import { configFromJson, type ClusterConfig, type Ended, type Revision } from '@holdfast/core';
import * as z from 'zod';
import { DurableRecord, readRecord, statePath } from './durable-record.ts';

export interface CachedConfig {
  readonly config: ClusterConfig;
  readonly revision: Revision;
}

const schema = z.object({ revision: z.string().regex(/^\d{1,20}$/), config: z.unknown() });

export class ConfigCache {
  readonly #file: DurableRecord;

  constructor(directory: string) {
    this.#file = new DurableRecord(statePath(directory, 'config'));
  }

  /** `raw`: the configuration as it was received. */
  set(revision: Revision, raw: unknown): Promise<Ended> {
    return this.#file.set({ revision: revision.toString(), config: raw });
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}

export type ReadConfig =
  | { readonly kind: 'ok'; readonly cached: CachedConfig }
  | { readonly kind: 'absent' }
  | { readonly kind: 'garbage'; readonly says: string };

export async function readCachedConfig(directory: string): Promise<ReadConfig> {
  const read = await readRecord(statePath(directory, 'config'), schema);
  if (read.kind !== 'ok') return read;
  const parsed = configFromJson(read.value.config);
  if (parsed.kind === 'invalid') return { kind: 'garbage', says: parsed.errors.join('; ') };
  return { kind: 'ok', cached: { config: parsed.config, revision: BigInt(read.value.revision) } };
}
