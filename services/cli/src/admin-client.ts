/** What the commands ask of the cluster. member-connection.ts asks a member; tests have a plain object. */
import type { admin } from '@holdfast/proto';
import type { Answer } from '@holdfast/wire/rpc';

export interface AdminClient {
  /** As every member judges its certificate: an error says why it may change nothing. Nobody is asked. */
  mayChange(): Answer<unknown>;
  status(): Promise<Answer<admin.StatusReply>>;
  getDecision(request: admin.GetDecisionRequest): Promise<Answer<admin.GetDecisionReply>>;
  explain(request: admin.ExplainRequest): Promise<Answer<admin.ExplainReply>>;
  check(request: admin.CheckRequest): Promise<Answer<admin.CheckReply>>;
  getOperation(request: admin.GetOperationRequest): Promise<Answer<admin.Operation>>;
  listOperations(request: admin.ListOperationsRequest): Promise<Answer<admin.ListOperationsReply>>;
  /** Values, then at most one error. Ends when the request does not follow; the next call asks another member. */
  events(request: admin.EventsRequest, signal?: AbortSignal): AsyncIterable<Answer<admin.Event>>;
  createToken(request: admin.CreateTokenRequest): Promise<Answer<admin.CreateTokenReply>>;
  apply(request: admin.ApplyRequest): Promise<Answer<admin.ApplyReply>>;
  setMaintenance(request: admin.SetMaintenanceRequest): Promise<Answer<admin.SetMaintenanceReply>>;
  removeMember(request: admin.RemoveMemberRequest): Promise<Answer<admin.RemoveMemberReply>>;
  pauseMirror(request: admin.PauseMirrorRequest): Promise<Answer<admin.PauseMirrorReply>>;
  /** Asked once and never repeated: a switchover that is done twice is undone. */
  startOperation(request: admin.StartOperationRequest): Promise<Answer<admin.StartOperationReply>>;
  /** What the mirror process of some member does. Asked once; the answers are bounded by the other end. */
  runMirror(
    request: admin.RunMirrorRequest,
    signal?: AbortSignal,
  ): AsyncIterable<Answer<admin.RunMirrorReply>>;
  close(): void;
}
