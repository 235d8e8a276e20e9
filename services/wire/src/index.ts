/**
 * How Holdfast speaks: certificates, the member's directory, gRPC with mutual TLS and deadlines, sealed datagrams,
 * logging. This entry loads everything; a command that has to be quick imports the entry that it needs
 * (`@holdfast/wire/directory`, `/rpc`, `/pki`, `/datagram`, `/log`, `/journal`).
 */
export * from './datagram.ts';
export * from './directory.ts';
export * from './journal.ts';
export * from './log.ts';
export * from './pki.ts';
export * from './rpc.ts';
