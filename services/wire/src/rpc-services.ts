/** The three services with the rule of every method: the one place that says who may do what. */
import type { ServiceDefinition, UntypedServiceImplementation } from '@grpc/grpc-js';
import { admin, agents, members } from '@holdfast/proto';
import { change, own, read } from './access.ts';
import {
  openUnary,
  serverStream,
  unary,
  type Handler,
  type HandlerHost,
  type OpenCall,
  type StreamHandler,
} from './rpc-handler.ts';

/** One service, ready to be bound to a server. */
export interface Service {
  readonly definition: ServiceDefinition;
  readonly bind: (host: HandlerHost) => UntypedServiceImplementation;
}

export interface AdminHandlers {
  readonly status: Handler<admin.StatusRequest, admin.StatusReply>;
  readonly events: StreamHandler<admin.EventsRequest, admin.Event>;
  readonly getDecision: Handler<admin.GetDecisionRequest, admin.GetDecisionReply>;
  readonly explain: Handler<admin.ExplainRequest, admin.ExplainReply>;
  readonly check: Handler<admin.CheckRequest, admin.CheckReply>;
  readonly createToken: Handler<admin.CreateTokenRequest, admin.CreateTokenReply>;
  readonly apply: Handler<admin.ApplyRequest, admin.ApplyReply>;
  readonly startOperation: Handler<admin.StartOperationRequest, admin.StartOperationReply>;
  readonly getOperation: Handler<admin.GetOperationRequest, admin.Operation>;
  readonly listOperations: Handler<admin.ListOperationsRequest, admin.ListOperationsReply>;
  readonly setMaintenance: Handler<admin.SetMaintenanceRequest, admin.SetMaintenanceReply>;
  readonly removeMember: Handler<admin.RemoveMemberRequest, admin.RemoveMemberReply>;
  readonly pauseMirror: Handler<admin.PauseMirrorRequest, admin.PauseMirrorReply>;
  readonly runMirror: StreamHandler<admin.RunMirrorRequest, admin.RunMirrorReply>;
}

export interface AgentsHandlers {
  readonly renew: Handler<agents.RenewRequest, agents.RenewReply>;
  readonly watch: StreamHandler<agents.WatchRequest, agents.WatchReply>;
  readonly report: Handler<agents.ReportRequest, agents.ReportReply>;
}

export interface MembersHandlers {
  /** Open to anyone: the token in the request is the proof. */
  readonly join: Handler<members.JoinRequest, members.JoinReply, OpenCall>;
  readonly enrol: Handler<members.EnrolRequest, members.EnrolReply>;
}

export const adminService = (handlers: AdminHandlers): Service => ({
  definition: admin.AdminService,
  bind: (host) =>
    ({
      status: unary(host, read, handlers.status),
      events: serverStream(host, read, handlers.events),
      getDecision: unary(host, read, handlers.getDecision),
      explain: unary(host, read, handlers.explain),
      check: unary(host, read, handlers.check),
      createToken: unary(host, change, handlers.createToken),
      apply: unary(host, change, handlers.apply),
      startOperation: unary(host, change, handlers.startOperation),
      getOperation: unary(host, read, handlers.getOperation),
      listOperations: unary(host, read, handlers.listOperations),
      setMaintenance: unary(host, change, handlers.setMaintenance),
      removeMember: unary(host, change, handlers.removeMember),
      pauseMirror: unary(host, change, handlers.pauseMirror),
      runMirror: serverStream(host, change, handlers.runMirror),
    }) satisfies admin.AdminServer,
});

export const agentsService = (handlers: AgentsHandlers): Service => ({
  definition: agents.AgentsService,
  bind: (host) =>
    ({
      renew: unary(
        host,
        own((request) => request.server),
        handlers.renew,
      ),
      watch: serverStream(
        host,
        own((request) => request.member),
        handlers.watch,
      ),
      report: unary(
        host,
        own((request) => request.server),
        handlers.report,
      ),
    }) satisfies agents.AgentsServer,
});

export const membersService = (handlers: MembersHandlers): Service => ({
  definition: members.MembersService,
  bind: (host) =>
    ({
      join: openUnary(host, handlers.join),
      enrol: unary(
        host,
        own((request) => request.member),
        handlers.enrol,
      ),
    }) satisfies members.MembersServer,
});
