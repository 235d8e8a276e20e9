/** The messages between mirrors alone: the rest of the contract brings gRPC with it, which takes as long to load. */
export * as mirror from './gen/holdfast/v1/mirror.ts';
