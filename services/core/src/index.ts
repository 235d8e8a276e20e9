/** Everything that decides. Start reading at node.ts. */

export type * from './names.ts';
export type * from './records.ts';
export { everyTarget, noMaintenance, noPauses } from './records.ts';
export type * from './store.ts';
export { opsMax, opsOf } from './store.ts';
export type * from './config/types.ts';
export * from './config/index.ts';
export { brokenRule, deriveTimeRules, kernelLifetimeSeconds, rho, watchdogMsMax } from './time.ts';
export type { TimeRules, TimeRulesResult } from './time.ts';
export { clockWarnings } from './clock-error.ts';
export { downAt, goneBy, mayActUntil } from './node.ts';
export type { Entitlement, Silence, Step } from './node.ts';
export {
  encode,
  parseEndedOperation,
  parseEvent,
  parseGroup,
  parseLeader,
  parseMaintenance,
  parsePauses,
  parseRenewal,
} from './codec.ts';
export { parseMember } from './member.ts';
export { heardText, parseHeard, type HeardLine } from './heard-line.ts';
export { keys, live, past, root } from './keys.ts';
export type * from './heartbeat.ts';
export * from './vantage.ts';

export { stepAgent } from './agent/agent.ts';
export { newAgent, paceOf } from './agent/state.ts';
export { heartbeatMsOf } from './pace.ts';
export type { AgentIdentity, AgentState, AgentStep } from './agent/state.ts';
export type { AgentAction, AgentEvent, ArmedGroup, Ended, HeldBefore, RenewAnswer } from './agent/events.ts';
export { recall } from './agent/former-life.ts';
export type { KeptPromise, Remembered, Started, Traces } from './agent/former-life.ts';
export { heldEpoch } from './agent/holding.ts';
export { waitsForProof } from './agent/ownership.ts';
export type { GroupState, Holding } from './agent/holding.ts';
export { identityAddresses, releaseSteps, spareAddress, stepName, takeoverSteps } from './step.ts';
export type { TakeoverStep } from './step.ts';

export { stepQuorum, watchedPrefix } from './quorum/quorum.ts';
export { caseOf, newQuorum, sceneOf } from './quorum/state.ts';
export type { QuorumState, QuorumStep } from './quorum/state.ts';
export type {
  Command as QuorumCommand,
  CommandResult,
  QuorumAction,
  QuorumEvent,
  RenewRequest,
  RenewResult,
} from './quorum/events.ts';
export { judge, pausedBecause } from './quorum/judge.ts';
export { heldByFailovers } from './quorum/trouble.ts';
export { phaseTold, type Case, type Change, type Judgement } from './quorum/case.ts';
export { eventId } from './quorum/commit.ts';
export { decideAgain, parseDecision, type Decision } from './quorum/decision.ts';
export { candidates, lossClause } from './quorum/candidates.ts';
export { lackOf, lossNow, type LossNow } from './quorum/copies.ts';
export { heardAt, lastOwner, reportFor, seconds, serverDownAt } from './quorum/scene.ts';
export type { Candidate } from './quorum/candidates.ts';
export type { Scene } from './quorum/scene.ts';
export { leads } from './quorum/leadership.ts';
export { lookedAtGroups, refuseTaking, withLeaving } from './quorum/leaving.ts';
export { mayRemove, removalOf } from './quorum/removal.ts';
export { removedGroup, wayOut } from './quorum/removed.ts';
export { maintenanceOf, pausesOf } from './quorum/view.ts';
export type { RowChange, StoreView } from './quorum/view.ts';

export { advance as advanceHistory, historyRowsMax, lastCommon, unknownChecksum } from './mirror/position.ts';
export type { EpochEnd, History, Position } from './mirror/position.ts';
export type {
  FilesDataset,
  MirrorDataset,
  MirrorOrder,
  MirrorOrders,
  MirrorRole,
  MirrorTarget,
  MirrorTargetRole,
  VolumeDataset,
} from './mirror/orders.ts';
export { mirrorId } from './mirror/mirror-id.ts';
export { copiesOf, pausedBy } from './mirror/roles.ts';
export { withEpochs } from './mirror/epoch.ts';
export { needsChoice } from './mirror/both-written.ts';
export { isStuck, mirrorStates, telling, unseenMs } from './mirror/report.ts';
export type {
  CopyNotes,
  HotFiles,
  LiveMirror,
  MirrorCopy,
  MirrorReport,
  MirrorRow,
  MirrorSourceReport,
  MirrorState,
  MirrorTargetReport,
} from './mirror/report.ts';
