/** The state of a quorum service, and the scenes and cases that are judged from it. */

import { heartbeatMsOf } from '../pace.ts';
import type { Draft } from '../draft.ts';
import type { BootMs, GroupId, MemberId, WallMs } from '../names.ts';
import type { Step } from '../node.ts';
import { startListening, type Vantage } from '../vantage.ts';
import type { Case, Change, Judgement } from './case.ts';
import type { Asker } from './commanded.ts';
import type { QuorumAction } from './events.ts';
import { nothingOvertaken, type OvertakenChanges } from './overtaken.ts';
import { nobodyHeard } from './presence.ts';
import type { Presence, Scene } from './scene.ts';
import { noRenewals, type Renewing } from './renewing.ts';
import { emptyView, type StoreView } from './view.ts';
import { nothingWithheld, type Withheld } from './withheld.ts';

export interface QuorumState {
  readonly self: MemberId;
  readonly witness: boolean;
  readonly incarnation: number;
  readonly since: BootMs;
  readonly view: StoreView;
  readonly vantage: Vantage;
  readonly renewing: Renewing;
  readonly nextTxn: number;
  readonly underway: ReadonlyMap<number, Purpose>;
  readonly nextReadAt: BootMs;
  readonly readingSince: BootMs | null;
  readonly nextBeatAt: BootMs;
  readonly beats: number;
  readonly relayed: boolean;
  /** It is asked to end: it leads no more (L3 of leadership.ts). */
  readonly leaving: boolean;
  /** When the store last answered, and since when it has not. */
  readonly storeAnsweredAt: BootMs | null;
  /** Of the leader; others know nobody. */
  readonly presence: Presence;
  /** Of the leader; the others judge only when somebody asks. */
  readonly judgements: ReadonlyMap<GroupId, Judgement>;
  /** Of the leader: what it told that it would have done. */
  readonly withheld: Withheld;
  readonly overtaken: OvertakenChanges;
  /** When there is something to do, if nothing happens before. */
  readonly wakeAt: BootMs;
}

/** What a transaction under way is for. */
export type Purpose =
  | { readonly kind: 'renewals' }
  | { readonly kind: 'lead' | 'beat' | 'let-go'; readonly since: BootMs }
  | {
      readonly kind: 'change';
      readonly group: GroupId;
      readonly change: Change;
      /** Null: nobody commanded it. */
      readonly asker: Asker | null;
      readonly since: BootMs;
    }
  | {
      readonly kind: 'would-have';
      readonly group: GroupId;
      /** By its name in `withheld`. */
      readonly decision: string;
      readonly reason: string;
      readonly since: BootMs;
    };

export type QuorumStep = Step<QuorumState, QuorumAction>;

export function newQuorum(self: MemberId, witness: boolean, incarnation: number, now: BootMs): QuorumState {
  return {
    self,
    witness,
    incarnation,
    since: now,
    view: emptyView,
    vantage: startListening(self, now),
    renewing: noRenewals,
    nextTxn: 1,
    underway: new Map(),
    nextReadAt: now,
    readingSince: null,
    nextBeatAt: now,
    beats: 0,
    relayed: false,
    leaving: false,
    storeAnsweredAt: null,
    presence: nobodyHeard,
    judgements: new Map(),
    withheld: nothingWithheld,
    overtaken: nothingOvertaken,
    wakeAt: now,
  };
}

export function quorumDraft(s: QuorumState): Draft<QuorumState> {
  return {
    self: s.self,
    witness: s.witness,
    incarnation: s.incarnation,
    since: s.since,
    view: s.view,
    vantage: s.vantage,
    renewing: s.renewing,
    nextTxn: s.nextTxn,
    underway: s.underway,
    nextReadAt: s.nextReadAt,
    readingSince: s.readingSince,
    nextBeatAt: s.nextBeatAt,
    beats: s.beats,
    relayed: s.relayed,
    leaving: s.leaving,
    storeAnsweredAt: s.storeAnsweredAt,
    presence: s.presence,
    judgements: s.judgements,
    withheld: s.withheld,
    overtaken: s.overtaken,
    wakeAt: s.wakeAt,
  };
}

export function sceneOf(state: QuorumState, now: BootMs): Scene {
  const config = state.view.config?.value ?? null;
  const { view, vantage, presence } = state;
  return { now, view, vantage, heartbeatMs: heartbeatMsOf(config), presence };
}

export function caseOf(state: QuorumState, group: GroupId, now: BootMs, wall: WallMs): Case | null {
  const config = state.view.config?.value.groups.get(group);
  const held = state.view.groups.get(group) ?? null;
  if (config === undefined) return null;
  return {
    scene: sceneOf(state, now),
    config,
    record: held?.value ?? null,
    recordRevision: held?.modRevision ?? 0n,
    wall,
  };
}
