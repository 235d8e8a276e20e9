/** Entry `@holdfast/wire/process`: how a process that runs for long is carried out. Commands need none of it. */
export * from './optimising.ts';
export * from './priority.ts';
