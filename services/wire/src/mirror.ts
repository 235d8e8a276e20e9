/** Entry `@holdfast/wire/mirror`: how a member's processes speak with its mirror process. */
export * from './mirror-link.ts';
export * from './mirror-protocol.ts';
