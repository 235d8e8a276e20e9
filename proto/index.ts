/** The wire contract, generated from proto/holdfast and the part of etcd's API that Holdfast calls. */
export * as admin from './gen/holdfast/v1/admin.ts';
export * as agents from './gen/holdfast/v1/agents.ts';
export * as heartbeat from './gen/holdfast/v1/heartbeat.ts';
export * as members from './gen/holdfast/v1/members.ts';
export * as mirror from './gen/holdfast/v1/mirror.ts';
export * as etcd from './gen/etcd/api/rpc.ts';
