/** Entry `@holdfast/wire/directory`: everything about a member that needs neither gRPC nor protobuf. */
export * from './boot-clock.ts';
export * from './certificate.ts';
export * from './directory-lock.ts';
export * from './directory-problem.ts';
export * from './durable-file.ts';
export * from './incarnation.ts';
export * from './member-directory.ts';
export * from './member-record.ts';
export * from './names.ts';
export * from './outcome.ts';
export * from './token.ts';
export * from './wire-error.ts';
