/** Entry `@holdfast/wire/rpc`: gRPC with mutual TLS, both ends. */
export { change, own, permit, provenPeer, read, type Presented, type Rule } from './access.ts';
export * from './rpc-client.ts';
export {
  done,
  type CallContext,
  type Fault,
  type Handler,
  type MemberCall,
  type OpenCall,
  type Send,
  type StreamHandler,
} from './rpc-handler.ts';
export * from './rpc-pool.ts';
export * from './rpc-server.ts';
export { reasonIn } from './rpc-status.ts';
export * from './rpc-services.ts';
export * from './wire-error.ts';
