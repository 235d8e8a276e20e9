/** The status as scripts read it (`-o json`). Epochs are strings: they are 64-bit. Times of events are ISO 8601. */
import type { admin } from '@holdfast/proto';
import { isoTime, whole } from '../text/amounts.ts';
import { mirrorView, type MirrorView } from './mirror-view.ts';

export interface PathView {
  readonly address: string;
  readonly state: string;
  readonly rttMs: number | null;
  readonly says: string;
}

export interface ServerView {
  readonly state: string;
  readonly role: string;
  readonly lastHeardMs: number | null;
  readonly timeToFailMs: number | null;
  readonly outageMs: number | null;
  /** False: not one heartbeat since the answering member started; lastHeardMs then counts from that start. */
  readonly everHeard: boolean;
  readonly maintenance: boolean;
  readonly version: string;
  readonly diagnosis: string;
  readonly paths: readonly PathView[];
}

export interface GroupView {
  /** Null while nobody owns it. */
  readonly owner: string | null;
  readonly epoch: string;
  readonly phase: string;
  readonly reason: string;
  readonly since: string | null;
  readonly servers: readonly string[];
  readonly maintenance: boolean;
  /** The operation under way; null when there is none. */
  readonly operation: string | null;
  readonly identity: {
    readonly mode: string;
    readonly addresses: readonly string[];
    readonly hostname: string | null;
  };
  readonly resources: Readonly<Record<string, { readonly state: string; readonly says?: string }>>;
  readonly mirrors: Readonly<Record<string, MirrorView>>;
  readonly objectives: {
    /** If the owner's power failed now: by the last word of the source, with `lossAgeMs` at most so much. */
    readonly lossMs: number | null;
    readonly lossBytes: number | null;
    /** How old that word is: what was written since comes on top. */
    readonly lossAgeMs: number | null;
    /** Null: none was measured yet. */
    readonly takeoverMs: number | null;
  };
  readonly warnings: readonly string[];
}

export interface StatusView {
  readonly cluster: string;
  readonly time: string | null;
  readonly quorum: {
    readonly healthy: boolean;
    readonly leader: string | null;
    /** How many more voters may fail before control is lost. */
    readonly spareVotes: number;
    readonly members: Readonly<Record<string, { readonly healthy: boolean; readonly voter: boolean }>>;
  };
  readonly servers: Readonly<Record<string, ServerView>>;
  readonly groups: Readonly<Record<string, GroupView>>;
  /** Without a failover; those of groups are with their groups. */
  readonly mirrors: Readonly<Record<string, MirrorView>>;
  readonly warnings: readonly string[];
}

const orNull = (text: string): string | null => (text === '' ? null : text);

/** In the order of names, so that two answers can be compared as texts. */
function mapped<From, To>(from: Readonly<Record<string, From>>, to: (value: From) => To): Record<string, To> {
  const names = Object.keys(from).sort();
  return Object.fromEntries(
    names.flatMap((name) => (from[name] === undefined ? [] : [[name, to(from[name])]])),
  );
}

/** Zero: none was measured yet. */
const measured = (ms: number): number | null => (ms > 0 ? whole(ms) : null);

/** Milliseconds with the digits that a round trip in a lab needs. */
const fine = (ms: number): number | null => (Number.isFinite(ms) ? Math.round(ms * 1000) / 1000 : null);

function serverView(server: admin.ServerStatus): ServerView {
  return {
    state: server.state,
    role: server.role,
    lastHeardMs: whole(server.lastHeardMs),
    timeToFailMs: whole(server.timeToFailMs),
    outageMs: whole(server.outageMs),
    everHeard: server.everHeard,
    maintenance: server.maintenance,
    version: server.version,
    diagnosis: server.diagnosis,
    paths: server.paths.map(({ address, state, rttMs, says }) => ({
      address,
      state,
      rttMs: rttMs > 0 ? fine(rttMs) : null,
      says,
    })),
  };
}

function groupView(group: admin.GroupStatus): GroupView {
  const { identity, objectives } = group;
  // Null: nobody knows.
  const loss = (amount: number | undefined): number | null =>
    objectives?.lossUnknown === true ? null : whole(amount ?? 0);
  return {
    owner: orNull(group.owner),
    epoch: group.epoch.toString(),
    phase: group.phase,
    reason: group.reason,
    since: isoTime(group.sinceMs),
    servers: group.servers,
    maintenance: group.maintenance,
    operation: orNull(group.operation),
    identity: {
      mode: identity?.mode ?? 'add',
      addresses: identity?.addresses ?? [],
      hostname: orNull(identity?.hostname ?? ''),
    },
    resources: mapped(group.resources, ({ state, says }) => (says === '' ? { state } : { state, says })),
    mirrors: mapped(group.mirrors, mirrorView),
    objectives: {
      lossMs: loss(objectives?.lossMs),
      lossBytes: loss(objectives?.lossBytes),
      lossAgeMs: loss(objectives?.lossAgeMs),
      takeoverMs: measured(objectives?.takeoverMs ?? 0),
    },
    warnings: group.warnings,
  };
}

export function statusView(reply: admin.StatusReply): StatusView {
  return {
    cluster: reply.cluster,
    time: isoTime(reply.timeMs),
    quorum: {
      healthy: reply.quorum?.healthy ?? false,
      leader: orNull(reply.quorum?.leader ?? ''),
      spareVotes: reply.quorum?.spareVotes ?? 0,
      members: mapped(reply.quorum?.members ?? {}, ({ healthy, voter }) => ({ healthy, voter })),
    },
    servers: mapped(reply.servers, serverView),
    groups: mapped(reply.groups, groupView),
    mirrors: mapped(reply.mirrors, mirrorView),
    warnings: reply.warnings,
  };
}
